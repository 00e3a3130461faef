// Draws the hops of a task as they come.  All that comes is text: nothing here makes markup of it.

const STEP = 900; // milliseconds between two hops that are played again
const hops = document.getElementById("hops");
const state = document.getElementById("state");
const reasons = hops ? await (await fetch("/static/reasons.json")).json() : {};
const shown = new Map(); // the elements of calls by the party that recorded them and its span
let last = Infinity; // the number of hops that are shown while they are played again
let playing = 0;

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// A token as a chip: its name and audience, its scopes, those that it lost, and the seconds that it had left.
function chip(token, at) {
  const made = element("span", "", "chip");
  made.append(element("b", token.name), ` for ${token.for}: ${token.scopes.join(" ")} `);
  for (const scope of token.dropped) made.append(element("s", scope), " ");
  if (token.ends) made.append(element("small", `${Math.max(0, Math.round(token.ends - at))} s left`));
  if (token.id) made.title = token.id;
  return made;
}

function arrow(lanes) {
  const [from, to] = lanes;
  const made = element("div", "", from === to ? "arrow here" : from < to ? "arrow" : "arrow left");
  made.style.gridColumn = `${Math.min(from, to) + 1} / ${Math.max(from, to) + 2}`;
  return made;
}

function told(hop) {
  const made = element("div", "", "told");
  const head = element("span", "", hop.allowed ? "granted" : "refused");
  const way = hop.from === hop.to ? hop.to : `${hop.from} → ${hop.to}`;
  head.append(element("b", way), ` ${hop.what} `);
  made.append(head, element("span", "", "took"));
  if (!hop.allowed) {
    const rule = reasons[hop.reason] ?? "The party that refused has declared this reason.";
    made.append(element("div", `${hop.reason}: ${rule}`, "why"));
    if (hop.detail) made.append(element("div", hop.detail, "why"));
  }
  if (hop.token) made.append(chip(hop.token, hop.at));
  if (hop.new && hop.allowed) made.append("→ ", chip(hop.new, hop.at));
  const by = [`recorded by ${hop.by}`, hop.code && `code ${hop.code}`, hop.policy && `policy ${hop.policy}`];
  if (hop.rules.length) by.push(`by the rule ${hop.rules.join(", ")}`);
  made.append(element("div", by.filter(Boolean).join(" · "), "by"));
  return made;
}

function show(hop) {
  const span = `${hop.by} ${hop.span}`;
  if (hop.kind === "ended") {
    const took = shown.get(span)?.querySelector(".took");
    if (took) took.textContent = `${hop.status ?? "no answer"}${hop.ended === "complete" ? "" : ", " + hop.ended}, ${hop.took} ms`;
    return;
  }
  const made = element("li", "", hop.allowed ? "new" : "new bad");
  made.dataset.kind = hop.kind;
  made.append(arrow(hop.lanes), told(hop));
  if (hop.kind === "call") shown.set(span, made);
  // Parties deliver their records one after the other: a later one may be of an earlier hop.
  made.dataset.at = hop.at;
  const earlier = [...hops.children].findLast((one) => Number(one.dataset.at) <= hop.at);
  if (earlier) earlier.after(made);
  else hops.prepend(made);
  until(last);
}

function tell(text = "") {
  const all = hops.children.length;
  const refused = hops.querySelectorAll(".bad").length;
  state.textContent = text || `${Math.min(last, all)} of ${all} hops, ${refused} refused`;
}

// Shows the first hops only, and gives back whether there are more.
function until(number) {
  last = Math.max(0, number);
  [...hops.children].forEach((one, index) => { one.hidden = index >= last; });
  tell();
  return last < hops.children.length;
}

function play() {
  clearInterval(playing);
  until(0);
  playing = setInterval(() => { if (!until(last + 1)) stop(); }, STEP);
}

function stop() {
  clearInterval(playing);
  if (last >= hops.children.length) last = Infinity;
}

function follow() {
  const source = new EventSource(hops.dataset.source);
  source.addEventListener("hop", (event) => show(JSON.parse(event.data)));
  source.addEventListener("answer", (event) => {
    const answer = JSON.parse(event.data);
    const refused = answer.refused?.length ? `\n\nRefused: ${answer.refused.join("; ")}` : "";
    document.getElementById("text").textContent = (answer.text ?? `Refused: ${answer.error}`) + refused;
    document.getElementById("answer").hidden = false;
  });
  source.addEventListener("end", (event) => {
    source.close();
    const { problem } = JSON.parse(event.data);
    if (problem) tell(problem);
    else document.body.dataset.ended = "yes";
  });
}

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(Number(time.dataset.at)).toLocaleTimeString();
}
if (hops) {
  const shownNow = () => Math.min(last, hops.children.length);
  document.getElementById("replay").addEventListener("click", play);
  document.getElementById("step").addEventListener("click", () => { clearInterval(playing); until(shownNow() + 1); });
  document.getElementById("back").addEventListener("click", () => { clearInterval(playing); until(shownNow() - 1); });
  document.getElementById("all").addEventListener("click", () => { clearInterval(playing); last = Infinity; until(last); });
  follow();
}
