"""
Charts as SVG text, drawn without a browser, a script or a font of their own. Pure.

A report, a page of documentation and a portal share them. Knows coordinates, axes and labels;
does not know what is measured, nor where the text goes.
"""
