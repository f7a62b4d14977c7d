// J and K move through the rows, Enter opens (the link has the focus), / finds.
const links = [...document.querySelectorAll("tr[data-row] th a")];
if (links.length) {
  const hint = document.querySelector("[data-keys-hint]");
  if (hint) hint.hidden = false;
  let current = -1;
  const move = (step) => {
    current = Math.min(Math.max(current + step, 0), links.length - 1);
    for (const row of document.querySelectorAll("tr.current")) row.classList.remove("current");
    links[current].closest("tr").classList.add("current");
    links[current].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      event.preventDefault();
      document.querySelector("#q")?.focus();
    }
  });
}
