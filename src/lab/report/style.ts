/**
 * How reports look: light or dark as the reader's system is, lines told apart by colour and by dashes.
 */
import { STYLES } from './runs.ts';

/** The colours of Okabe and Ito, which most people with colour blindness can tell apart, adapted to either ground. */
const LIGHT = ['#0063a8', '#c24e00', '#00795a', '#9c3d79', '#7a6300', '#2e8fc4', '#5a5a5a', '#a11d1d'];
const DARK = ['#5cb3f5', '#ff9345', '#34cfa1', '#e79ac6', '#e6cf3d', '#9bd3f5', '#b9b9b9', '#ff7d7d'];
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '4 2', '12 4', '1 2', '6 2 1 2 1 2'];

/** The style sheet of drawings, and of a page if there is one. */
export function styleSheet(page: boolean): string {
  const lines = Array.from({ length: STYLES }, (_, at) => (
    `.s${at}{stroke:var(--s${at});fill:none;stroke-dasharray:${DASHES[at] === '' ? 'none' : DASHES[at] ?? 'none'}}`));
  return `:root{color-scheme:light dark;${variables(LIGHT)};` +
    '--ground:#fff;--text:#1b1e23;--soft:#59606b;--grid:#e4e7eb;--fault:#8a6d00;--card:#f6f7f9}' +
    `@media(prefers-color-scheme:dark){:root{${variables(DARK)};--ground:#14171b;--text:#e8eaed;--soft:#a3abb6;` +
    '--grid:#2b3038;--fault:#ffd84d;--card:#1c2026}}' +
    'text{font:12px system-ui,sans-serif;fill:var(--text)}.title{font-size:14px;font-weight:600}' +
    '.tick,.name,.note{fill:var(--soft);font-size:11px}.letter{font-weight:700;font-size:11px}' +
    '.grid{stroke:var(--grid);fill:none}.axis{stroke:var(--soft);fill:none}.line{stroke-width:1.8;' +
    'stroke-linejoin:round}.bar{stroke-width:5}.stroke{stroke-width:1.5;stroke-dasharray:none}.dot{stroke-width:1.2;' +
    'stroke-dasharray:none}.fair{stroke:var(--text);stroke-width:1;stroke-dasharray:1 4;fill:none}' +
    '.fault{fill:var(--fault);opacity:.14}.ground{fill:var(--ground)}' +
    `${lines.join('')}path.lettered{stroke-dasharray:none}` + (page ? PAGE : '');
}

function variables(colours: readonly string[]): string {
  return colours.map((colour, at) => `--s${at}:${colour}`).join(';');
}

const PAGE = 'body{margin:0 auto;max-width:1120px;padding:20px 16px 48px;background:var(--ground);color:var(--text);' +
  'font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}h1{font-size:22px;margin:0 0 4px}h2{font-size:18px;' +
  'margin:36px 0 8px}.soft{color:var(--soft);margin:4px 0;font-size:13px}code{font:12.5px ui-monospace,monospace}' +
  'pre{background:var(--card);padding:10px 12px;border-radius:6px;white-space:pre-wrap;margin:12px 0}' +
  'ul{padding-left:20px;margin:12px 0}.findings li{font-weight:500}.key{list-style:none;padding:0;display:flex;' +
  'flex-wrap:wrap;gap:4px 20px}.key svg{width:38px;height:10px;vertical-align:middle;margin:0 6px}' +
  '.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}' +
  'th,td{padding:4px 14px 4px 0;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid);' +
  'vertical-align:top}th:first-child,td:first-child{text-align:left;white-space:normal;min-width:120px}' +
  'figure{margin:18px 0}svg.panel{display:block;width:100%;height:auto}svg.narrow{display:none}' +
  '.small{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,200px),1fr));gap:6px 12px;' +
  'margin-bottom:18px}' +
  '@media(max-width:680px){svg.wide{display:none}svg.narrow{display:block}body{padding:14px 12px 32px}}';
