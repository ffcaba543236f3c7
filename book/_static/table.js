// Tables of class "sortable": click on a heading to sort; type, or choose, to filter.
document.addEventListener("DOMContentLoaded", () => {
  for (const root of document.querySelectorAll(".sortable")) {
    const body = root.querySelector("tbody"), rows = Array.from(body.rows);
    const search = root.querySelector("input"), said = root.querySelector("output");
    const lists = Array.from(root.querySelectorAll("select"));
    const heads = root.querySelectorAll("th");

    function chosen(row, list) {
      return !list.value || row.cells[list.dataset.column].textContent === list.value;
    }

    function filter() {
      const words = search.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every(word => text.includes(word)) ||
          !lists.every(list => chosen(row, list));
      }
      const shown = rows.filter(row => !row.hidden).length;
      said.textContent = `${shown} of ${rows.length} figures`;
    }

    function sort(column) {
      const up = heads[column].getAttribute("aria-sort") !== "ascending";
      heads.forEach(head => head.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => row.cells[column].dataset.key;
      const numbers = rows.every(row => isFinite(key(row)));
      const order = numbers ? (a, b) => key(a) - key(b)
        : (a, b) => key(a).localeCompare(key(b));
      rows.sort((a, b) => order(a, b) * (up ? 1 : -1));
      body.append(...rows);
    }

    search.addEventListener("input", filter);
    lists.forEach(list => list.addEventListener("change", filter));
    heads.forEach((head, column) =>
      head.firstChild.addEventListener("click", () => sort(column)));
    filter();
  }
});
