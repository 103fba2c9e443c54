"""What every room uses: errors, units, seeds, plug-ins, settings, files, processes, words."""
