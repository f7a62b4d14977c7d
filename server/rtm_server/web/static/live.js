// The live count and angle. When the line drops the set goes on at the sensor; the page says so and comes back by itself.
const live = document.querySelector("[data-live]");
if (live) {
  const count = live.querySelector("[data-count]");
  const state = live.querySelector("[data-state]");
  const said = live.querySelector("[data-said]");
  const angle = live.querySelector("[data-angle]");
  const zero = live.querySelector("[data-zero]");
  const meter = live.querySelector("[data-meter]");
  const target = Number(live.dataset.target) || 0;
  const source = new EventSource(live.dataset.live);
  source.addEventListener("count", (event) => {
    const n = Number(JSON.parse(event.data).count);
    count.textContent = String(n);
    state.textContent = live.dataset.enough && n >= target ? live.dataset.enough : "";
    if (meter && target) meter.setAttribute("width", String(Math.min(100, (100 * n) / target)));
    if (n % 5 === 0 || n === target) said.textContent = `${n} repetitions`; // not every one: a screen reader would never stop
  });
  source.addEventListener("angle", (event) => {
    const { angle_deg: degrees, words } = JSON.parse(event.data);
    angle.textContent = degrees === null ? `${words}: comes as you move` : `${words} ${Math.round(degrees)}°`;
    if (zero) zero.hidden = degrees === null;
  });
  source.addEventListener("waiting", () => { state.textContent = "Waiting for your sensor. You can begin; nothing is lost."; });
  source.addEventListener("closed", () => { source.close(); location.assign(live.dataset.after); });
  source.addEventListener("error", () => { state.textContent = "Reconnecting. Keep going, your sensor goes on counting."; });
  live.querySelector("form")?.addEventListener("submit", () => source.close()); // Stop leads on by itself
  addEventListener("pagehide", () => source.close());
}
