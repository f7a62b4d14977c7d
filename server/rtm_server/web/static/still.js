// A calibration: count the seconds of keeping still, then show what to do next.
const still = document.querySelector("[data-still]");
if (still && !still.hidden) {
  const moving = document.querySelector("[data-moving]");
  const left = still.querySelector("[data-left]");
  const ends = performance.now() + 1000 * Number(still.dataset.still);
  const ticking = setInterval(() => {
    const seconds = Math.ceil((ends - performance.now()) / 1000);
    left.textContent = String(Math.max(seconds, 0));
    if (seconds > 0) return;
    clearInterval(ticking);
    still.hidden = true;
    moving.hidden = false;
    document.querySelector("[data-said]").textContent = "Now move.";
  }, 200);
}
