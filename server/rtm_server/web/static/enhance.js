// Every page works without this file; each module looks for its own mark and leaves the rest alone.
import "./worklist.js";
import "./timer.js";
import "./cursor.js";
import "./live.js";
import "./still.js";
import "./outcome.js";
