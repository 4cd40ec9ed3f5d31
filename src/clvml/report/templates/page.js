"use strict";
// Sorting, searching, filtering and downloading of the tables that say data-interactive. The rows are in the page.
for (const table of document.querySelectorAll("table[data-interactive]")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.textContent.trim());
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  const role = (name) => [...tools.querySelectorAll(`[data-role="${name}"]`)];
  const [search] = role("search");
  const [count] = role("count");
  const filters = role("filter");
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const hit = words.every((word) => text.includes(word)) &&
        filters.every((f) => !f.value || row.cells[names.indexOf(f.dataset.column)].textContent.trim() === f.value);
      row.hidden = !hit;
      shown += hit;
    }
    count.textContent = `${shown} of ${rows.length} customers`;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const sort = (column, down) => {
    for (const other of heads) other.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.sort((a, b) => (down ? -1 : 1) * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...rows);
  };
  // Where there is no room for heads, a list takes their place: numbers the largest first, words by the alphabet.
  const [order] = role("sort");
  order.value = names[1];
  order.addEventListener("change", () => sort(order.selectedIndex, heads[order.selectedIndex].classList.contains("n")));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = names[column];
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      sort(column, head.getAttribute("aria-sort") !== "descending");
    });
  });
  // A cell that begins as a formula does is made text for spreadsheets.
  const field = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  role("download")[0].addEventListener("click", () => {
    const lines = [names, ...rows.filter((row) => !row.hidden).map((row) => names.map((_, i) => String(valueOf(row, i))))];
    const text = "\ufeff" + lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = table.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  search.addEventListener("input", show);
  filters.forEach((f) => f.addEventListener("change", show));
  show();
}
