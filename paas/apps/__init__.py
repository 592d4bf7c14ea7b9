"""What an app is set to be: its life, config vars, hostnames, ports, processes, storage; and who may change it."""
