// The table of namespaces: a filter, sorting, and a chart below any row. Commands get a button that copies them.
(() => {
  const { ready, element } = charts;
  const table = document.getElementById("table");

  if (navigator.clipboard) {
    for (const command of document.querySelectorAll("code.command")) {
      const button = element("button", "copy", "Copy");
      button.type = "button";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(command.textContent);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 2000);
      });
      command.after(button);
    }
  }
  if (!table) return;

  const name = (row) => row.cells[0].querySelector("bdi").textContent;
  const charted = new Map();
  const rows = (body) => [...body.rows].filter((row) => !row.classList.contains("charted"));
  // What is sorted: namespaces, and groups of previews, which stay together.
  const bodies = [...table.tBodies].slice(1);
  const units = bodies.flatMap((body) => (body.classList.contains("previews") ? [body] : rows(body)));
  const head = (unit) => (unit.tagName === "TBODY" ? unit.rows[0] : unit);

  const with_chart = (row) => (charted.has(row) ? [row, charted.get(row)] : [row]);

  // Filter
  if (units.length > 5) {
    const label = element("label", "filter");
    const input = element("input");
    const found = element("span", "muted");
    input.type = "search";
    input.placeholder = "Filter by name, script, class or id";
    input.setAttribute("aria-label", "Filter namespaces");
    found.setAttribute("role", "status");
    label.append(input, found);
    table.before(label);
    const all = bodies.flatMap(rows).filter((row) => !row.classList.contains("group"));
    const text = new Map(all.map((row) => [row, [name(row), row.dataset.place, row.dataset.id].join(" ").toLowerCase()]));
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (row) => words.every((word) => text.get(row).includes(word));
      let matches = 0;
      for (const row of all) {
        const hidden = !fits(row);
        if (!hidden) matches += 1;
        with_chart(row).forEach((part) => (part.hidden = hidden));
      }
      for (const body of bodies.filter((body) => body.classList.contains("previews"))) {
        body.rows[0].hidden = rows(body).slice(1).every((row) => row.hidden);
      }
      table.classList.toggle("filtering", words.length > 0);
      found.textContent = words.length > 0 ? matches + " of " + all.length : "";
    });
  }

  // Sorting
  const value = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return (cell.querySelector("bdi") ?? cell).textContent.toLowerCase();
    const text = cell.textContent;
    if (cell.classList.contains("wide") && !cell.classList.contains("n")) return text;
    // Ages: in the largest unit that fits.
    const unit = { s: 1, min: 60, h: 3600, d: 86400 }[text.split(" ")[1]] ?? 1;
    const number = parseFloat(text.replace("\u2212", "-").replace(/,/g, ""));
    return Number.isNaN(number) ? null : number * unit;
  };
  const by = (column, direction) => (one, other) => {
    const [a, b] = [value(head(one), column), value(head(other), column)];
    // What is unknown comes last.
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  };
  const sort = (column, direction) => {
    let body = null;
    for (const unit of units.sort(by(column, direction))) {
      if (unit.tagName === "TBODY") {
        const members = rows(unit).slice(1).sort(by(column, direction));
        unit.append(...members.flatMap(with_chart));
        table.append(unit);
        body = null;
      } else {
        body ??= table.appendChild(element("tbody"));
        body.append(...with_chart(unit));
      }
    }
    for (const old of bodies) if (old.rows.length === 0) old.remove();
    bodies.splice(0, bodies.length, ...[...table.tBodies].slice(1));
  };
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (heading.classList.contains("trend")) return;
    const button = element("button", "sort", heading.textContent);
    button.type = "button";
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort");
      const figures = heading.classList.contains("n");
      const ascending = down ? down === "descending" : !figures;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(column, ascending ? 1 : -1);
    });
  });

  // Charts
  ready.then((draw) => {
    if (!draw) return;
    document.querySelectorAll(".scripted").forEach((part) => (part.hidden = false));
    for (const row of table.querySelectorAll("tr[data-series]")) {
      const cell = row.querySelector("td.trend");
      const button = element("button", "trend");
      button.type = "button";
      button.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-label", "Chart of " + name(row));
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        if (charted.has(row)) {
          charted.get(row).remove();
          charted.delete(row);
        } else {
          const below = element("tr", "charted " + row.className);
          const inside = below.appendChild(element("td"));
          inside.colSpan = row.cells.length;
          const id = element("p", "muted id", [row.dataset.place, row.dataset.id].filter(Boolean).join(" \u00b7 "));
          inside.append(...draw(row.dataset.series, name(row)), id);
          charted.set(row, below);
          row.after(below);
        }
        button.setAttribute("aria-expanded", String(charted.has(row)));
      });
    }
  });
})();
