/**
 * The script of the live page: reads the events, and shows what they say. It builds elements and sets their text, so
 * nothing that an upstream or a client is called can become markup. It is text here, since it runs in browsers; the
 * long tests run it in one. It is long because it is one text: the page loads nothing more.
 */
export const SCRIPT = String.raw`'use strict';
(() => {
  const base = location.pathname.replace(/[^/]*$/, '');
  const $ = (id) => document.getElementById(id);
  const HISTORY = 60,
    RECENT = 10;
  const GLYPHS = {
    active: '\u25CF',
    ejected: '\u2716',
    trial: '\u25D0',
    draining: '\u25E7',
    drained: '\u25A0',
    gone: '\u25CB',
  };
  const states = new Map(),
    rows = new Map(),
    sections = new Map(),
    cards = new Map();
  let source,
    lastAt = 0,
    lastEvent = 0,
    told = 0;

  // --- small helpers
  function el(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }
  function number(value) {
    if (value >= 1e6) return (value / 1e6).toFixed(1) + ' M';
    if (value >= 1e4) return (value / 1e3).toFixed(1) + ' k';
    return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  }
  function ms(value) {
    if (value === 0) return '\u2013';
    return value >= 10000
      ? (value / 1000).toFixed(1) + ' s'
      : value >= 10
        ? Math.round(value) + ' ms'
        : value.toFixed(1) + ' ms';
  }
  function seconds(value) {
    const s = Math.round(value / 1000);
    return s < 90 ? s + ' s' : s < 5400 ? Math.round(s / 60) + ' min' : Math.round(s / 3600) + ' h';
  }
  function percent(part) {
    return (part * 100 < 10 && part > 0 ? (part * 100).toFixed(1) : Math.round(part * 100)) + '%';
  }
  function plural(count, one) {
    return number(count) + ' ' + one + (count === 1 ? '' : 's');
  }
  function sum(list, of) {
    return list.reduce((total, one) => total + of(one), 0);
  }
  function median(list) {
    const sorted = list.slice().sort((a, b) => a - b),
      half = sorted.length >> 1;
    return sorted.length === 0 ? 0 : sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  function short(origin) {
    return origin.replace(/^https?:\/\//, '');
  }
  function keyOf(one) {
    return one.pool + ' ' + one.origin;
  }

  // --- plots: a minute, the newest at the right
  function plot() {
    const ns = 'http://www.w3.org/2000/svg',
      svg = document.createElementNS(ns, 'svg');
    svg.setAttribute('viewBox', '0 0 60 30');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    const area = document.createElementNS(ns, 'path'),
      line = document.createElementNS(ns, 'path');
    area.setAttribute('class', 'area');
    svg.append(area, line);
    svg.draw = (values, max) => {
      if (values.length < 2) return;
      const x = (i) => (60 - ((values.length - 1 - i) * 60) / (HISTORY - 1)).toFixed(2);
      const y = (value) => (29 - 27 * Math.min(1, value / (max || 1))).toFixed(2);
      const path = values.map((value, i) => (i ? 'L' : 'M') + x(i) + ' ' + y(value)).join('');
      line.setAttribute('d', path);
      area.setAttribute('d', path + 'L60 30L' + x(0) + ' 30Z');
    };
    return svg;
  }
  function cell(title) {
    const node = el('div', 'cell'),
      value = el('strong'),
      note = el('small');
    node.append(el('b', '', title), value, document.createTextNode(' '), note);
    return { node, value, note };
  }

  // --- an upstream
  function makeRow(one) {
    const key = keyOf(one),
      node = el('li', 'up'),
      id = el('div', 'id');
    const state = el('span', 'state'),
      glyph = el('i'),
      word = el('span'),
      name = el('div', 'name', one.origin),
      tags = el('div', 'tags');
    glyph.setAttribute('aria-hidden', 'true');
    state.append(glyph, word);
    id.append(name, state, tags);
    const share = cell('Share, last ' + RECENT + ' s'),
      pace = cell('Requests per second'),
      flight = cell('In flight');
    const latency = cell('Latency to head'),
      errors = cell('Failures / min');
    const bar = el('div', 'bar'),
      filled = el('i'),
      mark = el('u');
    bar.setAttribute('aria-hidden', 'true');
    bar.append(filled, mark);
    share.node.append(bar);
    const ratePlot = plot(),
      latencyPlot = plot(),
      why = el('p', 'why');
    pace.node.append(ratePlot);
    latency.node.append(latencyPlot);
    const actions = el('div', 'do'),
      button = el('button', '', 'Drain'),
      label = el('label', '', 'Weight'),
      weight = el('input');
    button.type = 'button';
    weight.type = 'number';
    weight.min = '0.001';
    weight.step = 'any';
    label.append(weight);
    weight.setAttribute('aria-label', 'Weight of ' + one.origin);
    actions.append(button, label);
    node.append(id, share.node, pace.node, flight.node, latency.node, errors.node, actions, why);
    const row = {
      key,
      node,
      glyph,
      word,
      tags,
      share,
      filled,
      mark,
      pace,
      ratePlot,
      flight,
      latency,
      latencyPlot,
      errors,
      why,
      button,
      weight,
      rates: [],
      latencies: [],
      failures: [],
      asked: [],
      askedShare: 0,
      sure: 0,
    };
    button.addEventListener('click', () => toggle(row));
    weight.addEventListener('change', () => {
      const value = Number(weight.value);
      if (value > 0) act(row, 'weight', String(value));
      else weight.value = row.one.nominalWeight;
    });
    return row;
  }
  function toggle(row) {
    if (row.button.getAttribute('aria-disabled') === 'true') return;
    const drained = row.one.state === 'drained' || row.one.state === 'draining';
    if (!drained && row.isLast && Date.now() > row.sure) {
      row.sure = Date.now() + 5000;
      showButton(row);
      say(
        'This is the last upstream of the pool ' +
          row.one.pool +
          ' that can be picked: without it, requests are answered 503. Press again to drain it.',
      );
      setTimeout(() => showButton(row), 5100);
      return;
    }
    row.sure = 0;
    act(row, drained ? 'activate' : 'drain');
  }
  function showButton(row) {
    const drained = row.one.state === 'drained' || row.one.state === 'draining',
      sure = Date.now() < row.sure;
    const text = drained ? 'Activate' : sure ? 'Drain the last?' : 'Drain';
    put(row.button, text);
    row.button.classList.toggle('sure', sure);
    row.button.setAttribute('aria-label', text + ': ' + row.one.origin + ', pool ' + row.one.pool);
  }
  async function act(row, action, body) {
    const { pool, origin } = row.one;
    row.button.setAttribute('aria-disabled', 'true');
    try {
      const answer = await fetch(
        base + 'upstreams/' + encodeURIComponent(pool) + '/' + encodeURIComponent(origin) + '/' + action,
        { method: 'POST', body: body || '' },
      );
      if (!answer.ok) throw new Error((await answer.text()).trim());
      const { workers, confirmed } = await answer.json();
      const what = {
        drain: 'takes no new requests',
        activate: 'is in service again',
        weight: 'has the weight ' + body,
      }[action];
      say(
        origin +
          ' ' +
          what +
          (confirmed < workers ? ', as ' + confirmed + ' of ' + workers + ' workers confirm.' : '.'),
      );
    } catch (error) {
      say('Not done: ' + error.message);
    }
    row.button.removeAttribute('aria-disabled');
  }
  function say(text) {
    put($('said'), text);
    told = Date.now();
  }

  // --- what the numbers mean
  function judge(all, evidence, pool) {
    const usable = all.filter((row) => row.one.state === 'active' || row.one.state === 'trial');
    const weights = sum(usable, (row) => row.one.weight),
      total = sum(all, (row) => row.recent),
      rate = sum(all, (row) => (row.fresh ? row.rate : 0));
    const notes = [];
    for (const row of all) {
      const { one } = row,
        others = usable.filter((other) => other !== row && other.one.responses > 0);
      const typical = median(others.map((other) => other.one.latencyMs));
      const inService = usable.includes(row),
        share = inService && weights > 0 ? one.weight / weights : 0;
      // What the weights asked for while those requests came: not before an upstream returned or a weight changed.
      if (row.fresh) keep(row.asked, rate * Math.min(share, row.askedShare));
      row.askedShare = share;
      const asked = sum(row.asked.slice(-RECENT), (each) => each);
      row.expected = !inService ? 0 : total > 0 ? asked / total : share;
      row.got = total > 0 ? row.recent / total : 0;
      row.isLast = usable.length === 1 && usable[0] === row;
      // The latency of one that is out of service is that of other times.
      row.isSlow =
        inService &&
        one.responses > 0 &&
        others.length > 0 &&
        one.latencyMs > 2 * typical &&
        one.latencyMs - typical > 5;
      const seen = sum(
        evidence.filter((e) => keyOf(e) === row.key),
        (e) => e.seen,
      );
      const picked = sum(
          evidence.filter((e) => keyOf(e) === row.key),
          (e) => e.picked,
        ),
        passed = seen - picked;
      const own = passed
        ? sum(
            evidence.filter((e) => keyOf(e) === row.key),
            (e) => e.ownInFlight,
          ) / passed
        : 0;
      const other = passed
        ? sum(
            evidence.filter((e) => keyOf(e) === row.key),
            (e) => e.otherInFlight,
          ) / passed
        : 0;
      const avoided = total >= 20 && usable.length > 1 && asked >= 5 && row.recent < asked * 0.6;
      const why = [];
      if (one.state === 'ejected' || one.state === 'trial') {
        const e = one.ejection;
        const cause = !e
          ? ''
          : e.by === 'probes'
            ? 'its probes failed'
            : 'too many attempts failed in a row' +
              (e.code ? ', the last with ' + e.code : e.status ? ', the last with status ' + e.status : '');
        const trial = !e
          ? ''
          : e.trialInMs === null
            ? 'it returns when its probes succeed'
            : e.trialInMs > 500
              ? 'it is tried again in ' + seconds(e.trialInMs) + ' at most'
              : 'its trial is due';
        if (one.state === 'ejected')
          why.push('Ejected' + (e ? ' ' + seconds(e.sinceMs) + ' ago: ' + cause + '; ' + trial : '') + '.');
        else
          why.push(
            'On trial' +
              (e ? ', ejected ' + seconds(e.sinceMs) + ' ago: ' + cause : '') +
              '. One request at a time shows whether it works again.',
          );
        notes.push({ bad: true, text: short(one.origin) + ' gets no requests. ' + why[0] });
      } else if (one.state === 'draining')
        why.push(
          'Drained by an operator, or being removed: it finishes ' +
            plural(one.inFlight, 'request') +
            ', and gets no new ones.',
        );
      else if (one.state === 'drained') why.push('Drained by an operator: it gets no requests until it is activated.');
      else {
        const slow = row.isSlow
          ? 'slow: ' +
            ms(one.latencyMs) +
            ' to the response head, ' +
            number(Math.round(one.latencyMs / (typical || 1))) +
            ' times the ' +
            ms(typical) +
            ' of the others'
          : '';
        const evidenceText =
          passed >= 5
            ? ' When the strategy passed it over, it had ' +
              number(own) +
              ' in flight on average, and the one picked instead ' +
              number(other) +
              '.'
            : '';
        if (avoided) {
          const gets =
            'gets ' +
            percent(row.got) +
            ' of the requests, and not the ' +
            percent(row.expected) +
            ' that its weight asks for';
          why.push(
            'Why requests avoid it: ' +
              pool.strategy +
              ' picks others.' +
              evidenceText +
              (slow ? ' It is ' + slow + ', so each request occupies it longer.' : ''),
          );
          notes.push({
            text:
              short(one.origin) + (slow ? ' is ' + slow + '. It ' : ' ') + gets + ': ' + pool.strategy + ' avoids it.',
          });
        } else if (slow) {
          const text =
            total >= 20 ? ' Still ' + pool.strategy + ' gives it ' + percent(row.got) + ' of the requests.' : '';
          why.push('It is ' + slow + '.' + text);
          notes.push({ text: short(one.origin) + ' is ' + slow + '.' + text });
        }
        if (one.maxInFlight !== null && one.inFlight >= one.maxInFlight) {
          why.push(
            'It is full: it has the ' + one.maxInFlight + ' in flight that maxInFlight allows, so it is no candidate.',
          );
          notes.push({ text: short(one.origin) + ' is full: ' + one.maxInFlight + ' in flight are allowed.' });
        }
        if (one.weight < one.nominalWeight * 0.999)
          why.push('Slow start: it has reached ' + percent(one.weight / one.nominalWeight) + ' of its weight.');
      }
      row.whyText = why.join(' ');
    }
    if (usable.length === 1 && all.length > 1)
      notes.push({ text: 'Only ' + short(usable[0].one.origin) + ' is left to take requests.' });
    if (all.length > 0 && usable.length === 0)
      notes.unshift({ bad: true, text: 'No upstream can be picked: requests are answered 503.' });
    return notes;
  }

  function keep(list, value) {
    list.push(value);
    if (list.length > HISTORY) list.shift();
  }
  function record(row, one, dt) {
    const before = row.one;
    row.one = one;
    row.fresh = before !== undefined && dt > 0;
    if (!row.fresh) {
      row.recent = 0;
      return;
    }
    const rate = Math.max(0, one.picks - before.picks) / dt,
      failed = Math.max(0, one.failures - before.failures);
    keep(row.rates, rate);
    keep(row.latencies, one.latencyMs);
    keep(row.failures, failed);
    row.rate = rate;
    row.recent = sum(row.rates.slice(-RECENT), (each) => each);
  }

  // --- the whole page
  function show(view) {
    const now = view.at,
      dt = lastAt ? (now - lastAt) / 1000 : 0;
    lastAt = now;
    put($('ready'), view.ready ? 'ready' : 'stopping');
    $('ready').className = 'chip ' + (view.ready ? 'ok' : 'bad');
    const seen = new Set();
    for (const one of view.upstreams) {
      const key = keyOf(one);
      let row = rows.get(key);
      if (!row) rows.set(key, (row = makeRow(one)));
      record(row, one, dt);
      seen.add(key);
      const was = states.get(key);
      if (was && was !== one.state) say(one.origin + ' is ' + (one.state === 'trial' ? 'on trial' : one.state) + '.');
      states.set(key, one.state);
    }
    for (const [key, row] of rows)
      if (!seen.has(key)) {
        row.node.remove();
        rows.delete(key);
        states.delete(key);
      }
    const pools = new Set();
    for (const pool of view.pools) {
      pools.add(pool.name);
      showPool(pool, view);
    }
    for (const [name, section] of sections)
      if (!pools.has(name)) {
        section.node.remove();
        sections.delete(name);
      }
    showTotals(view);
    showLog(
      $('failures'),
      gathered(view.incidents).slice(0, 15),
      incidentLine,
      'Nothing has failed since this process began.',
    );
    showLog($('decisions'), view.decisions.slice(0, 8), decisionLine, 'No decisions yet: there are no requests.');
    showWorkers(view.workers);
    if (told && Date.now() - told > 15000) {
      put($('said'), '');
      told = 0;
    }
  }
  function showPool(pool, view) {
    let section = sections.get(pool.name);
    if (!section) {
      section = {
        node: el('section', 'pool'),
        title: el('h2'),
        strategy: el('span'),
        verdict: el('div', 'verdict'),
        list: el('ul'),
      };
      section.title.append(document.createTextNode('Pool ' + pool.name + ' '), section.strategy);
      const head = el('header');
      head.append(section.title);
      section.shadow = makeShadow();
      section.node.append(head, section.verdict, section.list, section.shadow.node);
      section.node.setAttribute('aria-label', 'Pool ' + pool.name);
      sections.set(pool.name, section);
      $('pools').append(section.node);
    }
    put(section.strategy, '\u00B7 ' + pool.strategy);
    showShadow(section.shadow, pool);
    const all = view.upstreams.filter((one) => one.pool === pool.name).map((one) => rows.get(keyOf(one)));
    const notes = judge(all, view.evidence, pool);
    const level = notes.some((note) => note.bad) ? ' bad' : notes.length ? ' warn' : '';
    section.verdict.className = 'verdict' + level;
    const texts = notes.length
      ? notes.slice(0, 4).map((note) => note.text)
      : [
          all.length === 0
            ? 'The pool has no upstreams.'
            : sum(all, (row) => row.recent) > 0
              ? 'Nothing stands out: all upstreams that are in service take their share.'
              : 'At rest: there are no requests.',
        ];
    if (notes.length > 4) texts.push('And ' + (notes.length - 4) + ' more, see below.');
    while (section.verdict.childElementCount > texts.length) section.verdict.lastChild.remove();
    texts.forEach((text, i) => put(section.verdict.children[i] || section.verdict.appendChild(el('p')), text));
    const maxRate = Math.max(1, ...all.flatMap((row) => row.rates)),
      maxLatency = Math.max(1, ...all.flatMap((row) => row.latencies));
    all.forEach((row, i) => {
      showRow(row, maxRate, maxLatency);
      if (section.list.children[i] !== row.node) section.list.insertBefore(row.node, section.list.children[i] || null);
    });
  }
  // A strategy that is asked beside the live one: what it would have picked.
  function makeShadow() {
    const shadow = {
      node: el('div', 'shadow'),
      text: el('p'),
      estimate: el('p', 'dim'),
      table: el('table'),
      head: el('tr'),
      body: el('tbody'),
    };
    const top = el('thead');
    for (const name of ['Upstream', 'Share live', 'Share in the shadow']) {
      const cell = el('th', '', name);
      cell.scope = 'col';
      shadow.head.append(cell);
    }
    top.append(shadow.head);
    shadow.table.append(top, shadow.body);
    shadow.node.append(shadow.text, shadow.estimate, shadow.table);
    shadow.node.hidden = true;
    return shadow;
  }
  function showShadow(parts, { strategy, shadow }) {
    parts.node.hidden = !shadow;
    if (!shadow) return;
    const { picks, agreed, differed, declined, faults, estimate } = shadow;
    const part = (count) => (picks ? percent(count / picks) : '0%');
    put(
      parts.text,
      'In the shadow: ' + shadow.strategy + '. Of ' + plural(picks, 'pick') + ' it agreed with ' + part(agreed) +
        ' and differed at ' + part(differed) + (declined ? '; it declined ' + number(declined) : '') +
        (faults ? '; ' + plural(faults, 'fault') + ', see the log' : '') + '.',
    );
    put(
      parts.estimate,
      estimate.requests
        ? 'Estimate: ' + strategy + ' took ' + ms(estimate.liveMs) + ' on average; the upstreams that ' +
            shadow.strategy + ' would have picked, ' + ms(estimate.shadowMs) + ' as they are, ' +
            ms(estimate.shadowByLoadMs) + ' if latency grows with what is in flight. The load that its own picks ' +
            'would have moved is not in it.'
        : 'No estimate yet: too little is answered.',
    );
    const live = sum(shadow.upstreams, (one) => one.live),
      own = sum(shadow.upstreams, (one) => one.shadow),
      rows = shadow.upstreams.slice(0, 50);
    while (parts.body.childElementCount > rows.length) parts.body.lastChild.remove();
    rows.forEach((one, i) => {
      let row = parts.body.children[i];
      if (!row) {
        row = el('tr');
        row.append(el('td'), el('td'), el('td'));
        parts.body.append(row);
      }
      put(row.children[0], one.origin);
      put(row.children[1], live ? percent(one.live / live) : '\u2013');
      put(row.children[2], own ? percent(one.shadow / own) : '\u2013');
    });
  }
  function showRow(row, maxRate, maxLatency) {
    const { one } = row;
    row.node.className = 'up ' + one.state;
    put(row.glyph, GLYPHS[one.state] || '?');
    put(row.word, one.state === 'trial' ? 'on trial' : one.state);
    const tags = Object.entries(one.tags)
      .map(([name, value]) => name + '=' + value)
      .join(' \u00B7 ');
    const weight = one.nominalWeight;
    const weights =
      weight === one.configuredWeight ? '' : 'weight ' + weight + ' (configured: ' + one.configuredWeight + ')';
    put(row.tags, [tags, weights].filter(Boolean).join(' \u00B7 '));
    put(row.share.value, percent(row.got || 0));
    put(row.share.note, row.expected ? 'by weight ' + percent(row.expected) : '');
    row.filled.style.width = (row.got || 0) * 100 + '%';
    row.mark.style.left = row.expected * 100 + '%';
    row.mark.hidden = !row.expected;
    put(row.pace.value, number(row.rate || 0));
    row.ratePlot.draw(row.rates, maxRate);
    put(row.flight.value, number(one.inFlight));
    put(row.flight.note, one.maxInFlight === null ? '' : 'of ' + one.maxInFlight);
    put(row.latency.value, ms(one.latencyMs));
    row.latency.node.classList.toggle('hot', row.isSlow);
    put(row.latency.note, row.isSlow ? 'slow' : '');
    row.latencyPlot.draw(row.latencies, maxLatency);
    const lately = sum(row.failures, (each) => each);
    put(row.errors.value, number(lately));
    row.errors.node.classList.toggle('hot', lately > 0);
    put(row.errors.note, number(one.failures) + ' in total \u00B7 ' + plural(one.ejections, 'ejection'));
    put(row.why, row.whyText);
    if (document.activeElement !== row.weight) row.weight.value = weight;
    showButton(row);
  }
  function showTotals(view) {
    const all = [...rows.values()],
      node = $('totals');
    const values = {
      'requests/s': number(sum(all, (row) => row.rate || 0)),
      'in flight': number(sum(all, (row) => row.one.inFlight)),
      upstreams: String(all.filter((row) => row.one.state === 'active').length) + ' of ' + all.length + ' active',
      workers: String(view.workers.length),
    };
    Object.entries(values).forEach(([name, value], i) => {
      let pair = node.children[i];
      if (!pair) {
        pair = el('div');
        pair.append(el('dt', '', name), el('dd'));
        node.append(pair);
      }
      put(pair.lastChild, value);
    });
  }
  function showLog(list, items, line, empty) {
    const text = JSON.stringify(items);
    if (list.shown === text) return;
    list.shown = text;
    list.replaceChildren(...(items.length ? items.map(line) : [el('li', 'dim', empty)]));
  }
  function stamp(at) {
    const time = el('time', '', new Date(at).toLocaleTimeString());
    time.dateTime = new Date(at).toISOString();
    return time;
  }
  function repeats(incident) {
    return incident.what === 'retried' || incident.what === 'refused';
  }
  // The same thing again and again is one line, and so is what each worker tells of one upstream.
  function gathered(incidents) {
    const lines = [];
    for (const one of incidents) {
      const same = lines.findLast(
        (line, i) =>
          ((i === lines.length - 1 && repeats(one)) || line.at - one.at < 3000) &&
          ['what', 'pool', 'origin', 'code', 'status'].every((name) => line[name] === one[name]),
      );
      if (same) same.times++;
      else lines.push({ ...one, times: 1 });
    }
    return lines;
  }
  function incidentLine(one) {
    const item = el('li'),
      what = el(
        'span',
        one.what === 'ejected' || one.what === 'refused'
          ? 'bad'
          : one.what === 'readmitted' || one.what === 'activated'
            ? 'good'
            : '',
      );
    const reason = [one.code, one.status].filter(Boolean).join(', '),
      where = one.origin ? one.origin + (one.pool === 'default' ? '' : ' (pool ' + one.pool + ')') : '';
    const texts = {
      ejected:
        where +
        ' is ejected' +
        (one.by === 'probes'
          ? ': its probes failed'
          : one.by === 'peers'
            ? ', as another worker found'
            : reason
              ? ': ' + reason
              : ''),
      readmitted: where + ' is readmitted',
      retried: 'An attempt on ' + where + ' failed (' + reason + '); another followed',
      refused: 'A request was answered ' + one.status + ' (' + one.code + ')',
      draining: where + ' gets no new requests',
      drained: where + ' is drained',
      activated: where + ' is activated',
    };
    what.style.display = 'inline';
    what.textContent =
      (texts[one.what] || one.what) +
      (one.times > 1 && repeats(one) ? ' (' + one.times + ' times)' : '');
    item.append(stamp(one.at), what);
    return item;
  }
  function decisionLine(one) {
    const item = el('li'),
      head = el('span');
    head.append(
      stamp(one.at),
      document.createTextNode(
        one.method +
          ' ' +
          one.target.slice(0, 80) +
          ' \u2192 ' +
          one.status +
          (one.code ? ' ' + one.code : '') +
          ', ' +
          ms(one.durationMs),
      ),
    );
    item.append(head);
    if (one.attempts.length === 0) item.append(el('span', 'bad', 'no upstream could be picked'));
    for (const attempt of one.attempts) {
      const failed = attempt.code || (attempt.status >= 500 ? 'status ' + attempt.status : '');
      const line = el('span', 'dim');
      line.append(
        el('span', failed ? 'bad' : 'ink', '\u2192 ' + short(attempt.upstream) + (failed ? ': ' + failed : '')),
      );
      if (attempt.candidates.length === 0) line.append(' by its authenticated connection');
      else line.append(' of ' + attempt.of + ':');
      for (const c of attempt.candidates.slice(0, 6)) {
        const seen = short(c.origin) + ' ' + number(c.inFlight) + ' in flight, ' + ms(c.latencyMs);
        line.append(' ', el('span', 'seen' + (c.origin === attempt.upstream ? ' ink' : ''), seen));
      }
      if (attempt.of > 6) line.append(' \u2026');
      item.append(line);
    }
    return item;
  }
  function showWorkers(workers) {
    const seen = new Set();
    for (const worker of workers) {
      seen.add(worker.pid);
      let card = cards.get(worker.pid);
      if (!card) {
        card = {
          node: el('li'),
          name: el('div', 'name'),
          text: el('div', 'dim'),
          bar: el('div', 'bar'),
          filled: el('i'),
        };
        card.bar.append(card.filled);
        card.bar.setAttribute('aria-hidden', 'true');
        card.node.append(card.name, card.text, card.bar);
        cards.set(worker.pid, card);
        $('workers').append(card.node);
      }
      put(card.name, 'Process ' + worker.pid + (worker.ready ? '' : ', stopping'));
      put(
        card.text,
        'load ' +
          percent(worker.load) +
          ' \u00B7 ' +
          number(worker.inFlight) +
          ' in flight \u00B7 ' +
          worker.memoryMb +
          ' MB \u00B7 up ' +
          seconds(worker.uptimeS * 1000),
      );
      card.filled.style.width = worker.load * 100 + '%';
    }
    for (const [pid, card] of cards)
      if (!seen.has(pid)) {
        card.node.remove();
        cards.delete(pid);
      }
  }

  // --- the connection
  function open() {
    if (source || document.hidden) return;
    source = new EventSource(base + 'events');
    source.onmessage = (event) => {
      lastEvent = Date.now();
      link();
      show(JSON.parse(event.data));
    };
    source.onerror = () => {
      // After an answer that is no stream, browsers do not try again by themselves.
      if (source && source.readyState === EventSource.CLOSED) {
        shut();
        setTimeout(open, 2000);
      }
      link();
    };
  }
  function shut() {
    if (source) source.close();
    source = undefined;
  }
  function link() {
    const age = Date.now() - lastEvent,
      lost = age > 3500,
      node = $('link');
    document.body.classList.toggle('stale', lost);
    node.className = lost ? 'lost' : '';
    put(
      node,
      !lastEvent
        ? 'Connecting\u2026'
        : lost
          ? 'No news for ' + seconds(age) + ': these values are old. Reconnecting\u2026'
          : 'Live',
    );
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      shut();
      lastAt = 0;
    } else open();
  });
  setInterval(link, 1000);
  open();
})();`;
