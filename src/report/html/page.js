"use strict";
// Charts that answer the pointer and the keyboard. The numbers are those of each chart's table, in which a day on which
// nothing changed is left out.
(() => {
  const tip = document.getElementById("tip");
  const DAY = 86400000;
  const dash = "\u2013";
  let open = null;

  // One entry a day of the chart, as texts.
  const read = (figure) => {
    const first = Date.parse(figure.dataset.first + "T00:00:00Z");
    const told = new Map();
    for (const row of document.getElementById(figure.dataset.table).tBodies[0].rows) {
      told.set(row.cells[0].textContent, [...row.cells].slice(1).map((cell) => cell.textContent));
    }
    const days = [];
    let last = [dash, dash, dash, dash];
    for (let index = 0; index < Number(figure.dataset.days); index += 1) {
      const date = new Date(first + index * DAY).toISOString().slice(0, 10);
      const known = last[0] !== dash;
      last = told.get(date) ?? [last[0], last[1], known ? "0" : dash, known ? "0" : dash];
      days.push({ date, values: last });
    }
    return days;
  };

  const NAMES = ["objects", "with data", "created", "removed"];
  const KINDS = ["objects", "data", "created", "removed"];

  const element = (kind, className, text) => {
    const made = document.createElement(kind);
    made.className = className;
    made.textContent = text;
    return made;
  };

  const arm = (figure) => {
    let days = null;
    let at = -1;
    const plot = figure.querySelector(".plot");
    const count = Number(figure.dataset.days);
    const handle = element("div", "handle", "");
    const guide = element("div", "guide", "");
    guide.hidden = true;
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", figure.dataset.of + ", day by day");
    handle.setAttribute("aria-valuemin", "1");
    handle.setAttribute("aria-valuemax", String(count));
    handle.setAttribute("aria-valuenow", String(count));
    handle.setAttribute("aria-valuetext", figure.querySelector(".axis:last-of-type span:last-child").textContent);
    plot.append(guide, handle);

    const hide = () => {
      guide.hidden = true;
      tip.hidden = true;
      open = null;
    };

    const place = () => {
      const box = plot.getBoundingClientRect();
      const x = ((at + 0.5) / count) * box.width;
      guide.style.left = x + "px";
      const { width, height } = tip.getBoundingClientRect();
      const room = document.documentElement.clientWidth;
      const beside = box.left + x + 12 + width > room - 8 ? box.left + x - 12 - width : box.left + x + 12;
      tip.style.left = Math.max(8, Math.min(room - width - 8, beside)) + "px";
      const above = box.top - height - 8;
      tip.style.top = (above > 8 ? above : box.bottom + 8) + "px";
    };

    const moved = () => (document.activeElement === handle ? place() : hide());

    const show = (index) => {
      days ??= read(figure);
      at = Math.max(0, Math.min(count - 1, index));
      if (open && open.hide !== hide) open.hide();
      open = { hide, moved };
      const { date, values } = days[at];
      const text = values.map((value, n) => value + " " + NAMES[n]).join(", ");
      handle.setAttribute("aria-valuenow", String(at + 1));
      handle.setAttribute("aria-valuetext", date + ": " + text);
      tip.replaceChildren(element("p", "date", date));
      values.forEach((value, n) => {
        const line = element("p", "", "");
        line.append(element("span", "key " + KINDS[n], NAMES[n]), element("b", "", value));
        tip.append(line);
      });
      guide.hidden = false;
      tip.hidden = false;
      place();
    };

    const point = (event) => {
      const box = plot.getBoundingClientRect();
      show(Math.floor(((event.clientX - box.left) / box.width) * count));
    };
    handle.addEventListener("pointermove", point);
    handle.addEventListener("pointerdown", point);
    handle.addEventListener("pointerleave", (event) => {
      // A finger that was lifted leaves its answer on the screen.
      if (event.pointerType === "mouse" && document.activeElement !== handle) hide();
    });
    handle.addEventListener("focus", () => {
      if (guide.hidden) show(at < 0 ? count - 1 : at);
    });
    handle.addEventListener("blur", hide);
    handle.addEventListener("keydown", (event) => {
      const to = {
        ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
        PageDown: at - 7, PageUp: at + 7, Home: 0, End: count - 1,
      }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
  };

  for (const figure of document.querySelectorAll("figure.chart")) arm(figure);
  window.addEventListener("scroll", () => open && open.moved(), { passive: true });
  window.addEventListener("resize", () => open && open.moved());
})();
