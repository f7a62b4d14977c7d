// A cursor through a chart's values: hover, or arrow keys once the chart has the focus. The words come from the server.
for (const figure of document.querySelectorAll("figure[data-cursor]")) {
  const points = [...figure.querySelectorAll(".wide-chart [data-text]")];
  if (!points.length) continue;
  const said = document.createElement("p");
  said.className = "cursor-text idle";
  said.setAttribute("aria-hidden", "true");
  said.textContent = "Arrow keys walk through the values.";
  const slider = figure.querySelector(".wide-chart");
  slider.tabIndex = 0;
  slider.setAttribute("role", "slider");
  slider.setAttribute("aria-label", "Values of the chart");
  slider.setAttribute("aria-valuemin", "1");
  slider.setAttribute("aria-valuemax", String(points.length));
  figure.querySelector("figcaption")?.before(said);
  if (!said.isConnected) figure.append(said);
  let at = points.length - 1;
  const show = (index) => {
    said.classList.remove("idle");
    points[at].classList.remove("current");
    at = Math.min(Math.max(index, 0), points.length - 1);
    points[at].classList.add("current");
    said.textContent = points[at].dataset.text;
    slider.setAttribute("aria-valuenow", String(at + 1));
    slider.setAttribute("aria-valuetext", points[at].dataset.text);
  };
  slider.setAttribute("aria-valuenow", String(points.length));
  slider.setAttribute("aria-valuetext", points[at].dataset.text);
  slider.addEventListener("focus", () => said.classList.remove("idle"));
  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 7, PageDown: -7 };
  slider.addEventListener("keydown", (event) => {
    if (event.key in steps) show(at + steps[event.key]);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(points.length - 1);
    else return;
    event.preventDefault();
  });
  points.forEach((point, index) => point.addEventListener("pointerenter", () => show(index)));
}
