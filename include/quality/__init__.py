"""What must hold (suites), what decides and records it (gate), and its pages."""
