"use strict";
// Charts that answer the pointer and the keyboard, and those that are drawn on demand. Their numbers are packed in one
// element; what is text comes from the page and stays text.
const charts = (() => {
  const tip = document.getElementById("tip");
  const packed = document.getElementById("packed");
  const DAY = 86400000;
  const DASH = "\u2013";
  const NAMES = ["objects", "with data", "created", "removed"];
  const KINDS = ["objects", "data", "created", "removed"];
  const HEIGHT = 200;
  const BARS = 36;
  let open = null;

  const element = (kind, className, text) => {
    const made = document.createElement(kind);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };

  const written = (n) => (n === null ? DASH : n.toLocaleString("en-US"));
  const count = packed ? Number(packed.dataset.days) : 0;
  const first = packed ? Date.parse(packed.dataset.first + "T00:00:00Z") : 0;
  const date = (day) => new Date(first + day * DAY).toISOString().slice(0, 10);

  // The four numbers of each day, null where nothing is recorded, for each series.
  const unpack = (bytes) => {
    let at = 0;
    const number = () => {
      let n = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at];
        at += 1;
        n += (byte & 127) * scale;
        if (byte < 128) return n;
      }
    };
    const known = () => {
      const n = number();
      return n === 0 ? null : n - 1;
    };
    const signed = () => {
      const n = number();
      return n % 2 === 0 ? n / 2 : -(n + 1) / 2;
    };
    const all = [];
    while (at < bytes.length) {
      const skipped = number();
      const column = (read) => Array.from({ length: count - skipped }, read);
      const [created, removed, others, data] = [column(known), column(known), column(signed), column(signed)];
      const days = Array.from({ length: skipped }, () => [null, null, null, null]);
      let objects = 0;
      let held = 0;
      created.forEach((more, day) => {
        objects += others[day] + (more ?? 0) - (removed[day] ?? 0);
        held += data[day];
        days.push([objects, held, more, removed[day]]);
      });
      all.push(days);
    }
    return all;
  };

  const read = async () => {
    const bytes = Uint8Array.from(atob(packed.value), (char) => char.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return unpack(new Uint8Array(await new Response(plain).arrayBuffer()));
  };

  const arm = (figure, days) => {
    let at = -1;
    const plot = figure.querySelector(".plot");
    const handle = element("div", "handle");
    const guide = element("div", "guide");
    guide.hidden = true;
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", figure.dataset.of + ", day by day");
    handle.setAttribute("aria-valuemin", "1");
    handle.setAttribute("aria-valuemax", String(count));
    handle.setAttribute("aria-valuenow", String(count));
    handle.setAttribute("aria-valuetext", date(count - 1));
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
      at = Math.max(0, Math.min(count - 1, index));
      if (open && open.hide !== hide) open.hide();
      open = { hide, moved };
      const values = days[at].map(written);
      const text = values.map((value, n) => value + " " + NAMES[n]).join(", ");
      handle.setAttribute("aria-valuenow", String(at + 1));
      handle.setAttribute("aria-valuetext", date(at) + ": " + text);
      tip.replaceChildren(element("p", "date", date(at)));
      values.forEach((value, n) => {
        const line = element("p");
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
      // A finger that was lifted leaves the numbers on the screen.
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

  // From here on as in chart.rs and axis.rs.
  const roundUp = (n) => {
    for (let unit = 1; ; unit *= 10) {
      for (const tenths of [10, 15, 20, 25, 30, 40, 50, 60, 80]) {
        const round = (unit * tenths) / 10;
        if (Number.isInteger(round) && round >= n) return round;
      }
    }
  };
  const compact = (n) => {
    if (n < 10000) return written(n);
    const [unit, name] = n < 1000000 ? [1000, "k"] : [1000000, "M"];
    return written(Math.floor(n / (unit / 10)) / 10) + " " + name;
  };
  const scaled = (n, most, height) => Math.round((n / Math.max(most, 1)) * height);

  const pair = (x, y) => x + (y < 0 ? "" : " ") + y;
  const line = (days, top, column) => {
    let path = "";
    let last = 0;
    days.forEach((day, x) => {
      if (day[column] === null) return;
      const y = HEIGHT - scaled(day[column], top, HEIGHT);
      path += path === "" ? `M${x} ${y}` : (path.includes("l") ? " " : "l") + pair(1, y - last);
      last = y;
    });
    return path;
  };
  const bars = (days, top, column, sign) => {
    let path = "";
    let last = null;
    days.forEach((day, x) => {
      if (!(day[column] > 0)) return;
      const height = sign * Math.max(1, scaled(day[column], top, BARS / 2));
      path += (last ? "m" + pair(x - last[0], -last[1]) : `M${x} ${BARS / 2}`) + "v" + height;
      last = [x, height];
    });
    return path;
  };
  const most = (days, columns) => Math.max(0, ...days.flatMap((day) => columns.map((column) => day[column] ?? 0)));

  // A chart like another one, of another namespace.
  const draw = (like, of, series, days) => {
    const figure = like.cloneNode(true);
    figure.querySelectorAll(".handle, .guide").forEach((part) => part.remove());
    figure.dataset.series = series;
    figure.dataset.of = of;
    const half = roundUp(Math.ceil(most(days, [0]) / 2));
    const moved = roundUp(most(days, [2, 3]));
    figure.querySelector(".scales").setAttribute("aria-label", of + ": objects, and those created and removed, by day");
    const scale = [compact(2 * half), compact(half), "0", "+" + compact(moved), "\u2212" + compact(moved)];
    figure.querySelectorAll(".y").forEach((label, n) => (label.textContent = scale[n]));
    const objects = line(days, 2 * half, 0);
    const begins = days.findIndex((day) => day[0] !== null);
    const [area, upper, lower] = figure.querySelectorAll(".course path");
    area.setAttribute("d", objects === "" ? "" : `${objects}V${HEIGHT}H${begins}z`);
    [[upper, "objects", objects], [lower, "data", line(days, 2 * half, 1)]].forEach(([path, kind, d]) => {
      const dot = d !== "" && !d.includes("l");
      path.setAttribute("class", (dot ? "dot " : "line ") + kind);
      path.setAttribute("d", dot ? d + "h0" : d);
    });
    figure.querySelector("path.created").setAttribute("d", bars(days, moved, 2, -1));
    figure.querySelector("path.removed").setAttribute("d", bars(days, moved, 3, 1));
    return figure;
  };

  // A table that is made when it is opened, without the days on which nothing changed.
  const numbers = (of, days) => {
    const details = element("details");
    details.append(element("summary", "", "Numbers by day"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const table = element("table", "days");
      const caption = table.createCaption();
      caption.append(element("bdi", "", of), ", by day. Days on which nothing changed are left out.");
      const cells = (row, kind, texts) => texts.forEach((text, n) => {
        const cell = element(n === 0 ? "th" : kind, "", text);
        if (cell.tagName === "TH") cell.scope = kind === "th" ? "col" : "row";
        row.append(cell);
      });
      cells(table.createTHead().insertRow(), "th", ["Day", "Objects", "With data", "Created", "Removed"]);
      const body = table.createTBody();
      days.forEach((day, n) => {
        const before = n > 0 ? days[n - 1] : [null];
        const still = day[0] === before[0] && day[1] === before[1] && day[2] === 0 && day[3] === 0;
        if (day[0] !== null && !still) cells(body.insertRow(), "td", [date(n), ...day.map(written)]);
      });
      details.append(table);
    });
    return details;
  };

  const ready = (async () => {
    if (!packed || typeof DecompressionStream === "undefined") return null;
    const all = await read();
    for (const figure of document.querySelectorAll("figure.chart")) {
      const days = all[figure.dataset.series];
      arm(figure, days);
      if (figure.closest(".card")) figure.after(numbers(figure.dataset.of, days));
    }
    window.addEventListener("scroll", () => open && open.moved(), { passive: true });
    window.addEventListener("resize", () => open && open.moved());
    const like = document.querySelector(".card figure.chart") ?? document.querySelector("figure.chart");
    // A new chart with its numbers.
    return (series, of) => {
      const days = all[series];
      const figure = draw(like, of, series, days);
      arm(figure, days);
      return [figure, numbers(of, days)];
    };
  })();

  return { ready, element };
})();
