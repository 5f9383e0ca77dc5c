"""The console under load and under kills: what is lost or decided twice, and how fast it is."""
