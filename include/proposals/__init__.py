"""The day's answer for each cell: certificate, plan, guardrails, approval."""
