-- Tells what stands there.
return told('stands', standing())
