#!/usr/bin/env python3
"""Cuts the power of ext4 file systems: power_cut.py MOUNT [MOUNT ...]

EXT4_IOC_SHUTDOWN (GOINGDOWN) with "no log flush": what was synced stays, all else is gone, and
every later write fails. All mounts are opened first, so that they go down together.
"""
import fcntl
import os
import struct
import sys

GOINGDOWN = 0x8004587D
NO_LOG_FLUSH = 2

opened = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
for descriptor in opened:
    fcntl.ioctl(descriptor, GOINGDOWN, struct.pack("I", NO_LOG_FLUSH))
