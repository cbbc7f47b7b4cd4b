// Where one types: Enter says it, Tab completes, Up recalls, a pasted wall is asked about.
//
// `hooks` are `entered(line)`, whether the line may leave the prompt; `names()`, the nicks, rooms and
// ignored nicks that can be completed; `pasted(lines)`; `changed()`; `page(direction)`, for Page Up
// (-1) and Page Down (1); `offered(texts)`, what Tab goes through; `fitted()`, when its height may be
// another.

import { completions, wall, withoutSecrets } from "./commands.js";

const MAX_RECALLED = 100;

export class Prompt {
  /** `recalled` is what was typed before, oldest first. */
  constructor(box, hooks, recalled) {
    this.recalled = recalled;
    this._box = box;
    this._hooks = hooks;
    this._recalledAt = null; // the place in it that is in the box
    this._completing = null; // {start, texts, at, length}
    box.addEventListener("input", () => {
      this._forgetPlaces();
      this._fit();
      hooks.changed();
    });
    box.addEventListener("keydown", (event) => this._pressed(event));
    box.addEventListener("paste", (event) => {
      const lines = wall(event.clipboardData?.getData("text/plain") ?? "");
      if (lines === null) return; // one line can be edited like any other
      event.preventDefault();
      hooks.pasted(lines);
    });
  }

  get text() {
    return this._box.value;
  }

  set text(text) {
    this._box.value = text;
    this._forgetPlaces();
    this._fit();
  }

  focus() {
    this._box.focus();
  }

  /** Say what is typed. */
  enter() {
    const line = this._box.value.replace(/\s*\n\s*/g, " ");
    if (line.trim() === "") return;
    this._box.value = ""; // first: another conversation, with a draft, may be looked at now
    if (!this._hooks.entered(line)) {
      this.text = line;
      return;
    }
    const again = withoutSecrets(line);
    const others = this.recalled.filter((each) => each !== again);
    this.recalled = [...others, again].slice(-MAX_RECALLED);
    this._forgetPlaces();
    this._fit();
  }

  // ── Inside

  _pressed(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method's own keys
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      Enter: () => !event.shiftKey && (this.enter(), true),
      Tab: () => this._complete(event.shiftKey ? -1 : 1),
      ArrowUp: () => !event.shiftKey && this._recall(-1),
      ArrowDown: () => !event.shiftKey && this._recall(1),
      PageUp: () => (this._hooks.page(-1), true),
      PageDown: () => (this._hooks.page(1), true),
    }[event.key];
    if (act?.()) event.preventDefault();
  }

  _forgetPlaces() {
    this._completing = null;
    this._recalledAt = null;
  }

  /** As high as what is in it; the style sheet says up to where. */
  _fit() {
    this._box.style.height = "auto";
    this._box.style.height = `${this._box.scrollHeight + 2}px`;
    this._hooks.fitted();
  }

  /** Complete the word before the cursor, or go on to the next that it can be. */
  _complete(by) {
    const box = this._box;
    if (this._completing === null) {
      const before = box.value.slice(0, box.selectionStart);
      // Where there is nothing to complete, Tab goes on to the next control.
      if (box.selectionStart !== box.selectionEnd || before.trim() === "") return false;
      const { start, texts } = completions(before, ...this._hooks.names());
      if (texts.length === 0) return false;
      const at = by > 0 ? -1 : 0;
      this._completing = { start, texts, at, length: before.length - start };
    }
    const { start, texts, length } = this._completing;
    const at = (this._completing.at + by + texts.length) % texts.length;
    box.setRangeText(texts[at], start, start + length, "end");
    this._completing = { start, texts, at, length: texts[at].length };
    if (texts.length > 1) this._hooks.offered(texts);
    this._fit();
    return true;
  }

  /** What was typed before, or after that. A line that is being typed is left alone. */
  _recall(by) {
    const { _box: box, recalled } = this;
    if (this._recalledAt === null && (box.value !== "" || by > 0)) return false;
    const at = (this._recalledAt ?? recalled.length) + by;
    if (at < 0 || recalled.length === 0) return true;
    box.value = recalled[at] ?? "";
    this._recalledAt = at >= recalled.length ? null : at;
    box.setSelectionRange(box.value.length, box.value.length);
    this._fit();
    return true;
  }
}
