// Draws the hops of a task as they come.  All that comes is text: nothing here makes markup of it.

import {SECOND, by, clock, element} from "./page.js";

const STALE = 120; // seconds after which the log should have had something new: some records come each minute
const STEP = 900; // milliseconds between two hops that are played
const REFUSING = 400; // the first status of HTTP that is no success
const LANES = {orchestrator: 1, agent: 2, tool: 3, inference: 4, llamastack: 4, authority: 5, Keycloak: 5};
const VERBS = {call: "calls", exchange: "asks", access: "decides", refusal: "refuses", distrust: "refuses"};
const reasons = await (await fetch("/static/reasons.json")).json();
const hops = by("hops");

// The words of a hop

const find = (table, name, otherwise) => (Object.hasOwn(table, name) ? table[name] : otherwise);
const lane = (party) => find(LANES, party.split("/")[0], 0); // all others are people's clients

/** Return for whom the last actor of a token acts: who called it first, and the user last. */
const acting = ({through}) =>
  [hops.dataset.owner, ...through.slice(0, -1)].reverse().map((one) => `for ${one}`).join(", ");

function meaning({reason, needs}) {
  const says = find(reasons, reason, "A reason of that party's own.").replace(/; `.*/, ".").replaceAll("`", "");
  return reason === "scope_missing" && needs ? `${says} It needs ${needs}.` : says;
}

/** Return why it was refused, or by which rules it was granted; and who says so. */
function why(hop) {
  const made = element("div", "why");
  const detail = element("span", "faint", hop.detail ?? "");
  if (!hop.allowed) made.append(element("p", "", element("code", "", hop.reason), ` ${meaning(hop)} `, detail));
  const rules = hop.rules.map(({id, says}) =>
    element("li", "", says || "Its sentence was in an earlier version of the policies.", " ", element("code", "", id)),
  );
  const title = hop.allowed ? "By the rule:" : "No rule permits it. These are all the rules for such a call:";
  if (rules.length) made.append(element("p", "", title), element("ul", "", ...rules));
  if (hop.groups && !hop.allowed) {
    const known = Object.entries(hop.facts ?? {}).map((one) => one.join(" ")).join(", ");
    const groups = `The user's groups: ${hop.groups.join(", ") || "none"}.`;
    made.append(element("p", "", groups + (known && ` What the policies were told of it: ${known}.`)));
  }
  const foreign = "which is for another party, so this one has not verified it";
  const facts = [
    hop.token && `${acting(hop.token)}, token ${hop.token.id}${hop.token.own ? "" : `, ${foreign}`}`,
    `recorded by ${hop.by}`,
    `code ${hop.code || "unknown"}, ${hop.approved ? "as approved" : "not what is approved now"}`,
    hop.policy && `policies ${hop.policy}`,
  ];
  made.append(element("p", "faint", facts.filter(Boolean).join(" · ")));
  return made;
}

// The picture of a hop

/** Return a token as a chip, with the seconds that it had left at a time; in brief, without its scopes. */
function chip(token, time, brief = false) {
  const lost = brief ? [] : token.dropped.flatMap((scope) => [" ", element("s", "", scope)]);
  const says = brief ? "" : `for ${token.for}: ${token.scopes.join(" ") || "no scope"}`;
  const left = token.ends ? ` ${Math.max(0, Math.round(token.ends - time))} s left then` : "";
  return element("span", "chip", element("b", "", token.name), says, ...lost, element("small", "", left));
}

function labelOf(hop) {
  const verdict = element("span", hop.allowed ? "granted" : "refused", hop.allowed ? "" : `refused by ${hop.by}: `);
  const isAlone = hop.from === hop.to;
  const who = isAlone && !hop.allowed ? "" : `${hop.from} ${VERBS[hop.kind]} ${isAlone ? "" : hop.to} `;
  const what = `${hop.kind === "exchange" ? "for " : ""}${hop.what}`;
  return element("p", "label", element("span", "", verdict, element("b", "", who), what));
}

function moreOf(hop) {
  const chips = hop.token ? [chip(hop.token, hop.at, hop.kind !== "call")] : [];
  if (hop.new && hop.allowed) chips.push(" → ", chip(hop.new, hop.at));
  const more = element("details", "", element("summary", "", hop.allowed ? "more" : "why"), why(hop));
  more.open = !hop.allowed;
  return element("div", "told", ...chips, more);
}

function row(hop) {
  const [from, to] = [lane(hop.from), lane(hop.to)];
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  const arrow = element("div", from === to ? "arrow self" : from < to ? "arrow" : "arrow left");
  const [label, below] = [labelOf(hop), moreOf(hop)];
  // Each lane has two columns, so that an arrow goes from the middle of one to the middle of another.
  arrow.style.gridColumn = from === to ? `${2 * from + 1} / span 2` : `${2 * left + 2} / ${2 * right + 2}`;
  const ends = left >= (from === to ? 3 : 4); // there is more room before the arrow
  label.style.gridColumn = ends ? `2 / ${2 * right + 2}` : `${2 * left + 2} / -1`;
  below.style.gridColumn = hop.allowed ? label.style.gridColumn : `${Math.min(2 * lane(hop.by) + 2, 8)} / -1`;
  const kind = `hop${hop.allowed ? "" : " no"}${ends ? " ends" : ""}`;
  const made = element("li", kind, element("span", "when faint"), label, arrow, below);
  made.id = `hop-${hop.n}`;
  made.dataset.at = hop.at;
  return made;
}

// The task

const labels = new Map(); // of calls, by party and span: the end of a call is told there
let last = Infinity; // how many hops are shown while they are played
let playing = 0;
let telling = 0;

function show(hop) {
  const span = `${hop.by} ${hop.span}`;
  if (hop.kind === "ended") {
    const how = hop.ended === "complete" ? hop.status : `${hop.status ?? "no answer"}, ${hop.ended.replace("_", " ")}`;
    labels.get(span)?.append(element("span", "faint", ` · ${how}, ${Math.round(hop.took)} ms`));
    if (hop.ended !== "complete" || hop.status >= REFUSING) admitted(span);
    return;
  }
  // Parties deliver their records one after the other: a later one may be of an earlier hop.
  const earlier = [...hops.children].findLast((one) => Number(one.dataset.at) <= hop.at);
  const made = hops.insertBefore(row(hop), earlier ? earlier.nextSibling : hops.firstChild);
  if (hop.kind === "call") labels.set(span, made.querySelector(".label"));
  else if (!hop.allowed && hop.kind !== "exchange") admitted(span);
  sum(hop, made);
  telling ||= setTimeout(() => { telling = 0; until(last); }, 100);
}

/** Take the mark from a call that was admitted, and then came to nothing, or to less than it asked for. */
function admitted(span) {
  const mark = labels.get(span)?.querySelector(".granted");
  mark?.replaceWith(element("span", "faint", "admitted only: "));
}

/** Add a line to a box above the picture, once. */
function tell(box, ...content) {
  const line = element("li", "", ...content);
  if (![...by(box).children].some((one) => one.isEqualNode(line))) by(box).append(line);
}

function sum(hop, made) {
  if (hop.token && hop.kind === "call") {
    const {through} = hop.token;
    const how = through.length ? `acted ${acting(hop.token)}` : `in person, by ${hop.from}`;
    tell("chains", element("b", "", through.at(-1) ?? hops.dataset.owner), ` ${how}, at ${hop.by}`);
  }
  if (!hop.allowed) {
    const link = element("a", "refused", made.querySelector(".label").textContent);
    link.href = `#${made.id}`;
    link.addEventListener("click", () => until(Infinity));
    by("refusals").append(element("li", "", link, `. ${meaning(hop)}`));
  }
  if (hop.code) {
    const approved = hop.approved ? "the approved code" : "not the code that is approved now";
    tell("code", element("b", "", hop.by), " ", element("code", "", hop.code), ` ${approved}`);
  }
}

/** Show the first hops only: so many, or all. */
function until(number) {
  const all = [...hops.children];
  last = number >= all.length ? Infinity : Math.max(0, number);
  const began = Number(all[0]?.dataset.at);
  all.forEach((one, index) => {
    one.hidden = index >= last;
    one.classList.toggle("now", index === last - 1);
    one.querySelector(".when").textContent = `${index + 1} · ${(Number(one.dataset.at) - began).toFixed(2)} s`;
  });
  const now = all[last - 1];
  now?.scrollIntoView({block: "nearest"});
  const shown = `${last} of ${all.length}${now ? `: ${now.querySelector(".label").textContent}` : ""}`;
  by("state").textContent = last < Infinity ? shown : `${all.length} hop${all.length === 1 ? "" : "s"}`;
  if (last === Infinity) play(false);
}

/** Show one hop more, or one less.  After all are shown, the next one is the first one again. */
function step(way) {
  const all = way > 0 ? 0 : hops.children.length;
  until((last < Infinity ? last : all) + way);
}

function play(isOn) {
  clearInterval(playing);
  playing = isOn ? setInterval(step, STEP, 1) : 0;
  by("play").textContent = isOn ? "Pause" : "Play";
  if (isOn) step(1);
}

const on = (button, act) => by(button).addEventListener("click", act);
on("play", () => play(!playing));
on("step", () => { play(false); step(1); });
on("back", () => { play(false); step(-1); });
on("all", () => { play(false); until(Infinity); });

// What comes

const source = new EventSource(hops.dataset.source);
const take = (kind, act) => source.addEventListener(kind, ({data}) => act(JSON.parse(data)));

take("hop", show);
take("log", ({problem, age}) => {
  const old = age > STALE ? " Nothing new has come since then: is it held back?" : "";
  const time = age >= 0 ? `A quorum of its witnesses cosigned it by ${clock(Date.now() / SECOND - age)}.` : "";
  by("log").textContent = problem || time + old;
  by("log").className = problem || old ? "problem" : "";
});
take("answer", ({text, error, refused}) => {
  const also = refused?.length ? `\n\nRefused: ${refused.join("; ")}` : "";
  by("text").textContent = (text ?? `Refused: ${error}`) + also;
  by("answer").hidden = false;
});
take("end", () => {
  if (!by("refusals").children.length) by("refusals").after(element("p", "", "Nothing."));
  source.close();
});
source.addEventListener("error", () => {
  if (source.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
  by("state").textContent = "Not followed any more: you were signed out, or the console refused. Load the page again.";
});
