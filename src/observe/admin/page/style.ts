/**
 * The style of the live page. States differ by shape and text, too, not by colour alone.
 */
export const STYLE = `
:root{--bg:#f5f6f8;--card:#fff;--ink:#1a2029;--dim:#5b6675;--line:#dfe3e9;--blue:#2563c9;--fill:#dbe7fb;--ok:#17764a;
--warn:#8f5a00;--bad:#b3261e;--warnbg:#fff4dc;--badbg:#fdeceb}
@media (prefers-color-scheme:dark){:root{--bg:#11151b;--card:#1a2029;--ink:#e8ecf2;--dim:#9ba7b7;--line:#2d3642;
--blue:#7fb0ff;--fill:#243a5e;--ok:#5fcf98;--warn:#f0b64e;--bad:#ff8a80;--warnbg:#33290f;--badbg:#3a1d1c}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px 20px 40px;max-width:1280px;background:var(--bg);color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:20px;margin:0;letter-spacing:-.01em}h2{font-size:15px;margin:0}
p,dl,dd,ol,ul{margin:0;padding:0}ol,ul{list-style:none}
header{display:flex;flex-wrap:wrap;align-items:center;gap:6px 14px;margin-bottom:14px}
.chip{display:inline-block;padding:1px 9px;border:1px solid currentColor;border-radius:99px;font-weight:600}
.chip.ok{color:var(--ok)}.chip.bad{color:var(--bad)}
#link{color:var(--dim)}
#link.lost{color:var(--bad);background:var(--badbg);border-radius:6px;padding:2px 10px;font-weight:600}
.stale main,.stale .columns,.stale section,.stale .chip,.stale #totals{opacity:.5}
#totals{display:flex;flex-wrap:wrap;gap:4px 20px;margin-left:auto}
#totals div{display:flex;gap:6px;align-items:baseline}#totals dt{color:var(--dim)}
#totals dd{font-weight:650;font-size:16px}
#said:empty{display:none}
#said{margin:0 0 12px;padding:6px 12px;border-left:3px solid var(--blue);background:var(--card);border-radius:4px}
.pool{margin-bottom:22px}
.pool>header{margin:0 0 8px;gap:2px 10px;align-items:baseline}
.pool h2 span,.dim,.note{color:var(--dim);font-weight:400}
.verdict{margin:0 0 8px;padding:8px 12px;border-radius:6px;background:var(--card);border:1px solid var(--line)}
.verdict p+p{margin-top:4px}
.verdict.warn{background:var(--warnbg);border-color:var(--warn)}
.verdict.bad{background:var(--badbg);border-color:var(--bad)}
.up{display:grid;grid-template-columns:minmax(230px,1.7fr) 1.1fr 1.1fr .8fr 1.2fr .8fr auto;gap:4px 18px;
align-items:start;padding:10px 14px;background:var(--card);border:1px solid var(--line);border-bottom-width:0}
.up:first-child{border-radius:8px 8px 0 0}.up:last-child{border-bottom-width:1px;border-radius:0 0 8px 8px}
.up:first-child:last-child{border-radius:8px}
.name{font-weight:650;overflow-wrap:anywhere}
.state{font-weight:600;white-space:nowrap}.state i{font-style:normal;display:inline-block;width:1.3em}
.active .state{color:var(--ok)}.trial .state,.draining .state{color:var(--warn)}.ejected .state{color:var(--bad)}
.drained .state{color:var(--dim)}
.drained,.draining{
background:repeating-linear-gradient(135deg,var(--card),var(--card) 9px,var(--bg) 9px,var(--bg) 12px)}
.tags{color:var(--dim);font-size:12px;overflow-wrap:anywhere}
.cell b{display:block;color:var(--dim);font-weight:400;font-size:12px}
.cell strong{font-size:16px;font-weight:650}
.cell small{color:var(--dim);font-size:12px;overflow-wrap:anywhere}
.cell.hot strong{color:var(--bad)}.cell.hot strong::before{content:"\\25B2\\2009";font-size:11px}
.bar{position:relative;height:8px;margin-top:5px;background:var(--line);border-radius:4px;overflow:hidden}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--blue);border-radius:4px}
.bar u{position:absolute;top:0;bottom:0;width:2px;margin-left:-1px;background:var(--ink)}
svg{display:block;width:100%;height:30px;margin-top:3px;overflow:visible}
svg path{fill:none;stroke:var(--blue);stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-linejoin:round}
svg path.area{fill:var(--fill);stroke:none}
.hot svg path{stroke:var(--bad)}.hot svg path.area{fill:var(--badbg);stroke:none}
.shadow{margin-top:8px;padding:8px 14px;background:var(--card);border:1px dashed var(--line);border-radius:8px}
.shadow table{margin-top:6px;border-collapse:collapse}.shadow th{color:var(--dim);font-weight:400;font-size:12px}
.shadow td,.shadow th{padding:2px 24px 2px 0;text-align:right}
.shadow td:first-child,.shadow th:first-child{text-align:left;overflow-wrap:anywhere}
.why{grid-column:1/-1;color:var(--dim);overflow-wrap:anywhere}.why:empty{display:none}
.do{display:flex;flex-direction:column;gap:6px;align-items:stretch}
button,input{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--dim);border-radius:6px;
padding:4px 10px}
button{cursor:pointer;min-width:84px}button:hover{border-color:var(--blue)}button[aria-disabled=true]{opacity:.5}
button.sure{background:var(--bad);color:var(--card);border-color:var(--bad);font-weight:600}
:focus-visible{outline:3px solid var(--blue);outline-offset:1px}
input{width:68px;padding:3px 6px;color:var(--ink)}.ink{color:var(--ink)}
.seen{white-space:nowrap;margin-right:10px}.seen.ink{font-weight:600}
.do label{display:flex;justify-content:space-between;gap:6px;align-items:center;
color:var(--dim);font-size:12px}
.columns{display:grid;grid-template-columns:1fr 1fr;gap:22px;margin-bottom:22px}
.columns section{min-width:0}
.log,.empty{margin-top:6px;background:var(--card);border:1px solid var(--line);border-radius:8px}
.log li,.empty{padding:6px 12px;overflow-wrap:anywhere}.log li+li{border-top:1px solid var(--line)}
.log time{color:var(--dim);margin-right:8px}.log .bad{color:var(--bad);font-weight:600}
.log .good{color:var(--ok);font-weight:600}
.log li>span{display:block}
#workers{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:10px;margin-top:6px}
#workers li{padding:8px 12px;background:var(--card);border:1px solid var(--line);border-radius:8px}
@media (max-width:900px){.up{grid-template-columns:1fr 1fr 1fr}.up .id{grid-column:1/-1}
.do{flex-direction:row;align-items:center;
grid-column:1/-1}.columns{grid-template-columns:1fr}}
@media (max-width:520px){body{padding:12px 10px 30px}.up{grid-template-columns:1fr 1fr;padding:10px}
#totals{margin-left:0}
.do button{flex:1;padding:9px}}
`;
