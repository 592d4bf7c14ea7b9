project = "x"
html_theme = "furo"
