"""How the containers of apps are made and held."""
