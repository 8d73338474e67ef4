/**
 * The frame of the live page. The script fills it in.
 */
export const MARKUP = `<body>
<header>
  <h1>equipoise</h1>
  <p id="ready" class="chip">connecting</p>
  <p id="link" role="status">Connecting&hellip;</p>
  <dl id="totals"></dl>
</header>
<p id="said" role="status" aria-live="polite"></p>
<noscript>
  <p class="empty">This page needs JavaScript. Without it: <a href="upstreams">the upstreams as JSON</a>.</p>
</noscript>
<main id="pools" aria-label="Pools"></main>
<div class="columns">
  <section aria-labelledby="failures-title">
    <h2 id="failures-title">What happened last</h2>
    <ol id="failures" class="log"></ol>
  </section>
  <section aria-labelledby="decisions-title">
    <h2 id="decisions-title">Last decisions</h2>
    <p class="note">A sample, recorded while this page is open: what the strategy saw, and what it picked. With several
      workers, what it sees in flight includes an average of the others, so it may be a fraction.</p>
    <ol id="decisions" class="log"></ol>
  </section>
</div>
<section aria-labelledby="workers-title">
  <h2 id="workers-title">Workers</h2>
  <ul id="workers"></ul>
</section>
</body>`;
