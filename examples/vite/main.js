import "./style.css";

const heading = document.createElement("h1");
heading.textContent = "Hello from Vite";
document.body.append(heading);
