// Shows the document of this very replica; "Try it out" asks it, too.
fetch("openapi", { headers: { accept: "application/json" } })
  .then((answer) => answer.json())
  .then((spec) => {
    const here = new URL(".", document.baseURI).href.replace(/\/$/, "");
    spec.servers = [{ url: here, description: "This replica." }];
    SwaggerUIBundle({ dom_id: "#docs", spec, deepLinking: true, validatorUrl: "none" });
  })
  .catch(() => {
    document.getElementById("docs").textContent = "The document at /openapi could not be read.";
  });
