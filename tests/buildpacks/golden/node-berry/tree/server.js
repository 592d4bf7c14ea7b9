require("picocolors");
const fs = require("fs");
const dev = fs.existsSync("node_modules/ms");
const text = `${fs.readFileSync("built.txt", "utf8").trim()} ${dev ? "with" : "without"} what builds it\n`;
require("http").createServer((_, answer) => answer.end(text)).listen(process.env.PORT);
