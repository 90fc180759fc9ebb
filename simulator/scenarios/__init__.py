"""One TOML file a scenario; its name is the scenario's name."""
