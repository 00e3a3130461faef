// What the scripts of several pages share.  All that comes is text: nothing here makes markup of it.

export const SECOND = 1000; // in milliseconds

export const by = (id) => document.getElementById(id);

/** Return a new element of a class, or of none, with its content: texts and other elements. */
export function element(name, kind, ...content) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleString([], {dateStyle: "medium", timeStyle: "medium"});
}
