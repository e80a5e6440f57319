"""What estimates may rest on: accepted days, the labelled sample, response, calibration, golden answers."""
