"""How a run goes: one thin module per command and per Beam job. What happens to the data is in `transforms`."""
