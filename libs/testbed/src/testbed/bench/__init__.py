"""The load bench: many calls at once into the running services and into yardsticks beside them,
CPU from the operating system's accounting, latency from stamps that ride in the audio.
"""
