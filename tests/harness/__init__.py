"""What end-to-end tests are made with: a machine's network, a client with a key, apps, and what may not be left."""
