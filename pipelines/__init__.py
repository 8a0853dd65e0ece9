"""lss-outcomes: outcomes of lumbar spinal stenosis treatment by tier, from a release folder to a committee report."""
