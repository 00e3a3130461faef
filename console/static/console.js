// Draws the hops of a task as they come.  All that comes is text: nothing here makes markup of it.

const STALE = 120; // seconds after which the log should have had something new: some records come each minute
const STEP = 900; // milliseconds between two hops that are played
const LANES = { orchestrator: 1, agent: 2, tool: 3, inference: 4, llamastack: 4, authority: 5, Keycloak: 5 };
const VERBS = { call: "calls", exchange: "asks", access: "decides", refusal: "refuses", distrust: "refuses" };
const by = (id) => document.getElementById(id);
const hops = by("hops");
const reasons = hops ? await (await fetch("/static/reasons.json")).json() : {};

function element(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

// The lane of a party, by the first part of its name; all others are people's clients.
const lane = (name) => {
  const first = name.split("/")[0];
  return Object.hasOwn(LANES, first) ? LANES[first] : 0;
};
const list = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");
const acting = (token) => {
  const through = token.through.slice(0, -1);
  return `for ${hops.dataset.owner}${through.length ? `, through ${list(through)}` : ""}`;
};

const scopes = new Map(); // of the tokens so far, by their ids
const orphans = []; // chips whose token came before the one that it was exchanged from

// What a token lost, as its parent's record says; that one may come later.
function lost(token) {
  const made = element("span", "");
  const strike = (gone) => { for (const scope of gone) made.append(" ", element("s", "", scope)); };
  strike(token.dropped);
  if (token.parent && !token.dropped.length && !scopes.has(token.parent)) orphans.push({ token, strike });
  return made;
}

function learn(token) {
  if (!token || !token.own || scopes.has(token.id)) return;
  scopes.set(token.id, token.scopes);
  for (const { token: child, strike } of orphans.filter((one) => one.token.parent === token.id)) {
    strike(token.scopes.filter((scope) => !child.scopes.includes(scope)));
  }
}

function chip(token, at, brief = false) {
  const left = token.ends ? [element("small", "", ` ${Math.max(0, Math.round(token.ends - at))} s left`)] : [];
  const says = brief ? [] : [`for ${token.for}: ${token.scopes.join(" ") || "no scope"}`, lost(token)];
  return element("span", "chip", element("b", "", token.name), ...says, ...left);
}

function meaning(hop) {
  const says = Object.hasOwn(reasons, hop.reason) ? reasons[hop.reason] : "A reason of that party's own.";
  const needs = hop.reason === "scope_missing" && hop.needs ? ` It needs ${hop.needs}.` : "";
  return says.replace(/; `.*/, ".").replaceAll("`", "") + needs;
}

// Why it was refused, or by which rules it was granted, in words; and who says so.
function why(hop) {
  const made = element("div", "why");
  if (!hop.allowed) {
    made.append(element("p", "", element("code", "", hop.reason), ` ${meaning(hop)}`));
    if (hop.detail) made.append(element("p", "faint", hop.detail));
  }
  if (hop.rules.length) {
    const all = element("ul", "");
    for (const rule of hop.rules) {
      const says = rule.says || "Its sentence was in an earlier version of the policies.";
      all.append(element("li", "", says, " ", element("code", "", rule.id)));
    }
    made.append(element("p", "", hop.allowed ? "By the rule:" : "No rule permits it. These are all the rules for such a call:"), all);
  }
  const code = `code ${hop.code || "unknown"}, ${hop.approved ? "as approved" : "not what is approved now"}`;
  const token = hop.token ? `${acting(hop.token)}, token ${hop.token.id}` : "";
  const strange = hop.token && !hop.token.own ? "the token is for another party, so this one has not verified it" : "";
  const policy = hop.policy && `policies ${hop.policy}`;
  made.append(element("p", "faint", [token, `recorded by ${hop.by}`, code, policy, strange].filter(Boolean).join(" · ")));
  return made;
}

const calls = new Map(); // where the end of a call is told, by its party and span
const codes = new Map(); // the line of each party's code
const chains = new Map(); // the line of each chain of actors, and the parties at its end
let last = Infinity; // how many hops are shown while they are played
let playing = 0;
let telling = 0;

function row(hop) {
  const [from, to] = [lane(hop.from), lane(hop.to)];
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const made = element("li", hop.allowed ? "hop" : "hop no");
  const verdict = element("span", hop.allowed ? "granted" : "refused", hop.allowed ? "" : `refused by ${hop.by}: `);
  const whom = from === to && !hop.allowed ? "" : `${hop.from} ${VERBS[hop.kind]} ${hop.from === hop.to ? "" : hop.to} `;
  const end = element("span", "faint");
  const label = element("p", "label", element("span", "", verdict, element("b", "", whom), `${hop.kind === "exchange" ? "for " : ""}${hop.what}`, end));
  const arrow = element("div", from === to ? "arrow self" : from < to ? "arrow" : "arrow left");
  const told = element("div", "told");
  if (hop.token) told.append(chip(hop.token, hop.at, hop.kind !== "call"));
  if (hop.new && hop.allowed) told.append(" → ", chip(hop.new, hop.at));
  const more = element("details", "", element("summary", "", hop.allowed ? "more" : "why"), why(hop));
  more.open = !hop.allowed;
  told.append(more);
  // Each lane has two columns, so that an arrow goes from the middle of one to the middle of another.
  arrow.style.gridColumn = from === to ? `${2 * from + 1} / span 2` : `${2 * left + 2} / ${2 * right + 2}`;
  const ends = left >= (from === to ? 3 : 4);
  label.style.gridColumn = ends ? `2 / ${2 * right + 2}` : `${2 * left + 2} / -1`;
  told.style.gridColumn = hop.allowed ? label.style.gridColumn : "2 / -1";
  if (ends) made.classList.add("ends");
  made.append(element("span", "when faint"), label, arrow, told);
  if (hop.kind === "call") calls.set(`${hop.by} ${hop.span}`, end);
  return made;
}

function show(hop) {
  learn(hop.token);
  if (hop.kind === "ended") {
    const how = hop.ended === "complete" ? hop.status : `${hop.status ?? "no answer"}, ${hop.ended.replace("_", " ")}`;
    calls.get(`${hop.by} ${hop.span}`)?.append(` · ${how}, ${Math.round(hop.took)} ms`);
    return;
  }
  const made = row(hop);
  made.id = `hop-${hop.n}`;
  made.dataset.at = hop.at;
  // Parties deliver their records one after the other: a later one may be of an earlier hop.
  const earlier = [...hops.children].findLast((one) => Number(one.dataset.at) <= hop.at);
  if (earlier) earlier.after(made);
  else hops.prepend(made);
  sum(hop);
  telling ||= setTimeout(() => { telling = 0; until(last); }, 100);
}

// The three boxes above the picture.
function sum(hop) {
  if (hop.token && hop.kind === "call") {
    const chain = hop.token.through.join(" ");
    if (!chains.has(chain)) {
      chains.set(chain, { line: by("chains").appendChild(element("li", "")), at: new Set() });
    }
    const { line, at } = chains.get(chain);
    at.add(hop.by);
    const who = hop.token.through.at(-1) ?? hops.dataset.owner;
    const how = hop.token.through.length ? `acted ${acting(hop.token)}` : `in person, by ${hop.from}`;
    line.replaceChildren(element("b", "", who), ` ${how}, at ${list([...at])}`);
  }
  if (!hop.allowed) {
    const link = element("a", "", hop.kind === "call" ? `${hop.from}: ${hop.what}` : hop.what);
    link.href = `#hop-${hop.n}`;
    link.addEventListener("click", () => { last = Infinity; until(last); });
    by("refusals").append(element("li", "", element("span", "refused", `refused by ${hop.by}`), ": ", link, `. ${meaning(hop)}`));
  }
  if (hop.code && !codes.has(`${hop.by} ${hop.code}`)) {
    const approved = hop.approved ? "the approved code" : "not the code that is approved now";
    const line = element("li", "", element("b", "", hop.by), " ", element("code", "", hop.code), ` ${approved}`);
    codes.set(`${hop.by} ${hop.code}`, by("code").appendChild(line));
  }
}

// Shows the first hops only, and gives back whether there are more.
function until(number) {
  const all = [...hops.children];
  last = number >= all.length ? Infinity : Math.max(0, number);
  const began = Number(all[0]?.dataset.at);
  all.forEach((one, index) => {
    one.hidden = index >= last;
    one.classList.toggle("now", index === last - 1);
    one.querySelector(".when").textContent = `${index + 1} · ${(Number(one.dataset.at) - began).toFixed(2)} s`;
  });
  const now = Number.isFinite(last) && last > 0 ? all[last - 1] : null;
  now?.scrollIntoView({ block: "nearest" });
  const refused = hops.querySelectorAll(".no").length;
  by("state").textContent = Number.isFinite(last)
    ? `${last} of ${all.length}${now ? `: ${now.querySelector(".label").textContent}` : ""}`
    : `${all.length} hops, ${refused} refused`;
  return Number.isFinite(last);
}

function pause() {
  clearInterval(playing);
  playing = 0;
  by("play").textContent = "Play";
}

function play() {
  if (playing) return pause();
  by("play").textContent = "Pause";
  if (!Number.isFinite(last)) until(0);
  playing = setInterval(() => { if (!until(last + 1)) pause(); }, STEP);
}

function step(way) {
  pause();
  const all = way > 0 ? 0 : hops.children.length; // a step after all are shown is the first one again
  until((Number.isFinite(last) ? last : all) + way);
}

function follow() {
  const source = new EventSource(hops.dataset.source);
  const on = (kind, act) => source.addEventListener(kind, (event) => act(event.data && JSON.parse(event.data)));
  on("hop", show);
  let told = {};
  const age = setInterval(() => {
    const seconds = Math.round((Date.now() - told.signed) / 1000);
    const old = seconds > STALE ? " Nothing new has come since then: see whether it is held back." : "";
    by("log").textContent = told.problem || (told.signed ? `Its witnesses cosigned it ${seconds} s ago.${old}` : "");
    by("log").className = told.problem || old ? "problem" : "";
  }, 1000);
  on("log", (log) => { told = { problem: log.problem, signed: Date.now() - log.age * 1000 }; });
  on("answer", ({ text, error, refused }) => {
    const also = refused?.length ? `\n\nRefused: ${refused.join("; ")}` : "";
    by("text").textContent = (text ?? `Refused: ${error}`) + also;
    by("answer").hidden = false;
  });
  on("end", () => {
    source.close();
    clearInterval(age);
    document.body.dataset.ended = "yes";
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
    by("state").textContent = "Not followed any more: you were signed out, or the console refused.";
    by("again").hidden = false;
  });
}

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}

// What was written is there again after a sign-in; and so is the task that was asked for.
const request = by("request");
if (request) {
  const [user, draft] = JSON.parse(sessionStorage.getItem("draft") ?? "[]");
  if (user === request.dataset.user) request.value = draft;
  request.addEventListener("input", () => {
    sessionStorage.setItem("draft", JSON.stringify([request.dataset.user, request.value]));
  });
}
const asked = sessionStorage.getItem("asked") ?? "";
if (document.querySelector("main a[href='/sign-in']")) sessionStorage.setItem("asked", location.pathname);
else sessionStorage.removeItem("asked");
if (request && /^\/tasks\/[0-9a-f]{32}$/.test(asked)) location.replace(asked);

if (hops) {
  sessionStorage.removeItem("draft");
  by("play").addEventListener("click", play);
  by("step").addEventListener("click", () => step(1));
  by("back").addEventListener("click", () => step(-1));
  by("all").addEventListener("click", () => { pause(); until(Infinity); });
  by("again").addEventListener("click", () => location.reload());
  follow();
}
