const express = require("express");

const app = express();
app.get("/", (request, response) => response.type("text").send("Hello from Express\n"));

const server = app.listen(process.env.PORT || 5000);
process.on("SIGTERM", () => server.close());
