'use strict';
// Everything that comes from a program is put in as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const groups = new Map(); // by id
  const suggestions = new Map(); // by program
  const programs = new Map(); // by name: the section and its parts
  let feed = []; // the newest last
  let paused = false, latest = null, offset = 0, announced = 0;
  const maxFeed = 200;

  const make = (tag, className, text) => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const number = new Intl.NumberFormat('en');
  const plural = (n, word) => number.format(n) + ' ' + word + (n === 1 ? '' : 's');
  const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB');
  const ago = (ms) => {
    const s = Math.max(0, Math.round((Date.now() + offset - ms) / 1000));
    if (s < 3) return 'just now';
    if (s < 60) return s + ' s ago';
    if (s < 3600) return Math.floor(s / 60) + ' min ago';
    if (s < 86400) return Math.floor(s / 3600) + ' h ago';
    return new Date(ms).toLocaleDateString('en-GB');
  };

  // The text is copied, or where the browser does not let us, selected.
  const copyButton = (pre) => {
    const b = make('button', '', 'Copy');
    b.type = 'button';
    b.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(pre.textContent);
        b.textContent = 'Copied';
      } catch {
        const range = document.createRange();
        range.selectNodeContents(pre);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        b.textContent = 'Selected';
      }
      setTimeout(() => { b.textContent = 'Copy'; }, 1500);
    });
    return b;
  };
  const change = (title, danger) => {
    const d = make('details');
    const summary = make('summary', '', title);
    d.append(summary);
    if (danger) summary.append(make('span', 'apart', '⚠ ' + danger));
    if (danger) d.append(make('p', 'danger', 'Set apart: admit it only if the program has business with it. sysgate refine asks for --accept.'));
    const box = make('div', 'change'), pre = make('pre');
    pre.tabIndex = 0;
    box.append(pre, copyButton(pre));
    d.append(box);
    return { details: d, pre };
  };

  const program = (name) => {
    let p = programs.get(name);
    if (p) return p;
    const section = make('article', 'program'), head = make('div', 'head'), title = make('h3', 'mono', name);
    const facts = make('span', 'facts'), all = change('Policy change for the whole program'), list = make('ul', 'calls'), foot = make('li');
    head.append(title, facts);
    foot.append(all.details);
    list.append(foot);
    section.append(head, list);
    p = { section, facts, all, list, foot, rows: new Map() };
    programs.set(name, p);
    return p;
  };
  const row = (p, g) => {
    let r = p.rows.get(g.id);
    if (!r) {
      const item = make('li'), line = make('div', 'row');
      r = { item, line, call: make('span', 'call mono', g.call), badge: make('span', 'badge ' + g.class, g.action), count: make('span', 'count'), when: make('span', 'when') };
      line.append(r.call, r.badge, r.count, r.when);
      item.append(line);
      if (g.suggestion) {
        r.change = change('Policy change', g.danger);
        r.change.details.querySelector('summary').prepend(make('span', 'hidden', g.call + ': '));
        item.append(r.change.details);
      }
      p.rows.set(g.id, r);
    }
    r.count.textContent = number.format(g.count) + '×';
    r.when.textContent = ago(g.last);
    r.when.title = new Date(g.last).toISOString();
    if (r.change) r.change.pre.textContent = g.suggestion;
    return r;
  };

  const drawGroups = (changed) => {
    const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (g) => words.every((w) => (g.program + ' ' + g.call + ' ' + g.action).toLowerCase().includes(w));
    const sums = new Map();
    for (const g of groups.values()) {
      const p = program(g.program), r = row(p, g);
      r.item.hidden = !matches(g);
      if (changed && changed.has(g.id)) {
        r.line.classList.remove('fresh');
        void r.line.offsetWidth; // starts the animation anew
        r.line.classList.add('fresh');
      }
      const s = sums.get(g.program) || { count: 0, last: 0, shown: 0, calls: [], user: '', where: '', command: '' };
      s.count += g.count;
      s.shown += r.item.hidden ? 0 : 1;
      s.calls.push(g);
      if (g.last >= s.last) Object.assign(s, { last: g.last, user: g.user || '', where: g.where || '', command: g.command || s.command });
      sums.set(g.program, s);
    }
    for (const [name, p] of programs) {
      if (!sums.has(name)) { p.section.remove(); programs.delete(name); }
    }
    // The busiest first; what has the focus stays where it is in the document.
    const order = [...sums].sort((a, b) => b[1].count - a[1].count || (a[0] < b[0] ? -1 : 1));
    const place = byId('programs');
    let shown = 0;
    order.forEach(([name, s], i) => {
      const p = programs.get(name);
      p.section.hidden = s.shown === 0;
      shown += s.shown;
      p.facts.textContent = [plural(s.count, 'violation'), s.user && 'by ' + s.user, s.where].filter(Boolean).join(' · ');
      p.facts.title = s.command;
      const rule = suggestions.get(name) || '';
      p.foot.hidden = !rule || s.calls.length < 2;
      p.all.pre.textContent = rule;
      s.calls.sort((a, b) => b.count - a.count || (a.id < b.id ? -1 : 1));
      s.calls.forEach((g, j) => {
        const item = p.rows.get(g.id).item;
        if (p.list.children[j] !== item && !p.list.contains(document.activeElement)) p.list.insertBefore(item, p.list.children[j]);
        else if (!item.parentNode) p.list.insertBefore(item, p.foot);
      });
      if (place.children[i] !== p.section && (!place.contains(document.activeElement) || !p.section.parentNode)) place.insertBefore(p.section, place.children[i] || null);
    });
    byId('empty').hidden = shown > 0;
    byId('empty').textContent = groups.size === 0 ? 'No violations so far. They appear here as they happen.' : 'Nothing matches the filter.';
  };

  const drawFeed = () => {
    const list = byId('feed');
    list.replaceChildren(...feed.toReversed().map((e) => {
      const item = make('li', e.class), t = make('time', '', clock(e.time));
      t.dateTime = new Date(e.time).toISOString();
      // The line starts with the time, in full.
      item.append(t, e.text.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, ''));
      return item;
    }));
  };

  const drawTimeline = (u) => {
    const svg = byId('timeline'), space = 'http://www.w3.org/2000/svg';
    const width = 600 / u.timeline.length, sums = u.timeline.map((b) => b.killed + b.denied + b.logged);
    const top = Math.max(1, ...sums), total = sums.reduce((a, b) => a + b, 0);
    const marks = [];
    u.timeline.forEach((b, i) => {
      const rect = (y, height, name) => {
        const r = document.createElementNS(space, 'rect');
        r.setAttribute('x', i * width + width * 0.1);
        r.setAttribute('width', width * 0.8);
        r.setAttribute('y', y);
        r.setAttribute('height', height);
        r.setAttribute('class', name);
        marks.push(r);
        return r;
      };
      let y = 100;
      for (const name of ['logged', 'denied', 'killed']) {
        if (b[name] === 0) continue;
        const height = Math.max(2, 88 * b[name] / top);
        y -= height;
        rect(y, height, name);
      }
      const slot = rect(0, 100, 'slot'), title = document.createElementNS(space, 'title');
      const from = u.now - (u.timeline.length - i) * u.step;
      title.textContent = clock(from) + ': ' + number.format(b.killed) + ' killed, ' + number.format(b.denied) + ' denied, ' + number.format(b.logged) + ' let through';
      slot.append(title);
    });
    svg.replaceChildren(...marks);
    svg.setAttribute('aria-label', total === 0 ? 'No violations in the last 30 minutes' :
      plural(total, 'violation') + ' in the last 30 minutes, at most ' + number.format(top) + ' in ' + u.step / 1000 + ' seconds');
    byId('peak').textContent = total === 0 ? '' : number.format(top) + ' in ' + u.step / 1000 + ' s';
  };

  const drawTotals = (t) => {
    for (const name of ['violations', 'killed', 'denied', 'logged']) byId('total-' + name).textContent = number.format(t[name]);
    byId('tile-lost').hidden = t.losses === 0 && t.unread === 0;
    byId('total-lost').textContent = t.lost === 0 && t.losses > 0 ? '?' : number.format(t.lost + t.unread);
    byId('label-lost').textContent = t.losses > 0 ? (t.unread > 0 ? 'records lost or unread' : 'records lost') : 'records unread';
    document.title = (t.violations > 0 ? '(' + number.format(t.violations) + ') ' : '') + document.title.replace(/^\([\d,]+\) /, '');
  };

  const draw = (changed) => {
    if (!latest || paused) return;
    drawTotals(latest.totals);
    drawTimeline(latest);
    drawGroups(changed);
    drawFeed();
    const more = latest.totals.violations - announced;
    if (announced > 0 && more > 0) byId('announce').textContent = plural(more, 'new violation');
    announced = latest.totals.violations;
  };

  const take = (u) => {
    latest = u;
    offset = u.now - Date.now();
    if (u.reset) { groups.clear(); suggestions.clear(); feed = []; }
    const changed = new Set();
    for (const g of u.groups || []) {
      groups.set(g.id, g);
      if (!u.reset) changed.add(g.id);
    }
    for (const [name, text] of Object.entries(u.suggestions || {})) suggestions.set(name, text);
    if (u.skipped) feed.push({ time: u.now, class: 'problem', text: plural(u.skipped, 'more event') + ', too fast for this list, and counted' });
    feed = feed.concat(u.recent || []).slice(-maxFeed);
    draw(changed);
  };

  let connected = false, problem = 'connecting';
  const status = () => {
    byId('status').classList.toggle('live', connected && !paused);
    byId('status-text').textContent = !connected ? problem : paused ? 'paused: the page stands still, the monitor goes on' : 'live';
  };
  const connect = () => {
    const source = new EventSource('/events');
    source.onopen = () => { connected = true; status(); };
    source.onmessage = (m) => take(JSON.parse(m.data));
    source.onerror = () => {
      connected = false;
      problem = 'the monitor does not answer; trying again';
      status();
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
    };
  };

  byId('filter').addEventListener('input', () => drawGroups());
  byId('pause').addEventListener('click', () => {
    paused = !paused;
    byId('pause').textContent = paused ? 'Go on' : 'Pause';
    byId('pause').setAttribute('aria-pressed', String(paused));
    status();
    draw();
  });
  setInterval(() => {
    if (paused) return;
    for (const g of groups.values()) {
      const r = programs.get(g.program)?.rows.get(g.id);
      if (r) r.when.textContent = ago(g.last);
    }
  }, 5000);
  status();
  connect();
})();
