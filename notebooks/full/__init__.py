"""What stands around the runs at full scale: their parameters are written, batches
planned and gathered.
"""
