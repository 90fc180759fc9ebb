"""How like a real log a log is: stylised facts, their scorecard, the leak audit."""
