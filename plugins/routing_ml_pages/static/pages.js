// Follows Airflow's theme where the page stands in its frame and nobody has chosen another.
(function () {
  "use strict";
  var own = document.documentElement;
  if (own.className !== "" || window.parent === window) {
    return;
  }
  try {
    var airflow = window.parent.document.documentElement;
    var follow = function () {
      own.className = airflow.classList.contains("dark") ? "dark" : "light";
    };
    follow();
    new MutationObserver(follow).observe(airflow, { attributes: true, attributeFilter: ["class"] });
  } catch (error) {
    // in the frame of another site: the system's theme stays
  }
})();
