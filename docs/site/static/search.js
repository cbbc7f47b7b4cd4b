// The search of the site: every section that has all the words, the best first.
//
// PAGES comes from pages.js, which conf.py writes: [address, title, [[anchor, heading, text], …]].
// Nothing is fetched, so it works from a disk. What is found is only ever set as text.
"use strict";

const MOST = 50; // more than that nobody reads: another word helps sooner
const AROUND = 90; // letters that are shown before and after what was found

// A word begins where it was typed, and may go on: "backup" finds "backups", "up" does not.
const begins = (word) =>
  new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "giu");

// A heading says what a section is about; a word that stands often in a text says less.
const score = (patterns, title, heading, text) => {
  let all = 0;
  for (const pattern of patterns) {
    const count = (where) => (where.match(pattern) ?? []).length;
    const found = 20 * count(heading) + 5 * count(title) + Math.min(count(text), 5);
    if (!count(heading) && !count(text)) return 0;
    all += found;
  }
  return all;
};

const find = (patterns) => {
  const found = [];
  for (const [address, title, places] of PAGES)
    for (const [anchor, heading, text] of places) {
      const points = score(patterns, title, heading, text);
      if (points) found.push({ points, address: address + anchor, title, heading, text });
    }
  return found.sort((a, b) => b.points - a.points);
};

// A text with the words marked that were looked for.
const marked = (patterns, text) => {
  const parts = [];
  let end = 0;
  const places = patterns.flatMap((each) => [...text.matchAll(each)]);
  for (const { index, 0: word } of places.sort((a, b) => a.index - b.index)) {
    if (index < end) continue;
    const mark = document.createElement("mark");
    mark.textContent = word;
    parts.push(text.slice(end, index), mark);
    end = index + word.length;
  }
  return [...parts, text.slice(end)];
};

// A piece of the text around the first of the words that is in it.
const excerpt = (patterns, text) => {
  const first = Math.min(...patterns.map((each) => text.search(each)).filter((at) => at >= 0));
  const isFar = Number.isFinite(first) && first > AROUND;
  const start = isFar ? text.indexOf(" ", first - AROUND) + 1 : 0;
  const rest = text.slice(start);
  const piece = rest.length > 2 * AROUND ? rest.slice(0, rest.lastIndexOf(" ", 2 * AROUND)) : rest;
  const line = document.createElement("p");
  line.append(start ? "… " : "", ...marked(patterns, piece), piece.length < rest.length ? " …" : "");
  return line;
};

const show = (patterns, { address, title, heading, text }) => {
  const link = document.createElement("a");
  link.href = address;
  link.append(...marked(patterns, heading === title ? title : `${title}: ${heading}`));
  const item = document.createElement("li");
  item.append(link, excerpt(patterns, text));
  return item;
};

const query = new URLSearchParams(location.search).get("q") ?? "";
document.querySelector("input[name=q]").value = query;
const patterns = query.split(/\s+/).filter(Boolean).map(begins);
const found = patterns.length ? find(patterns) : [];
document.getElementById("search-results").append(...found.slice(0, MOST).map((each) => show(patterns, each)));
document.getElementById("search-status").textContent = !patterns.length
  ? "What are you looking for?"
  : found.length > MOST
    ? `${found.length} sections have that; these are the first ${MOST}.`
    : found.length
      ? `${found.length === 1 ? "One section has" : `${found.length} sections have`} that.`
      : "No section has all of these words.";
