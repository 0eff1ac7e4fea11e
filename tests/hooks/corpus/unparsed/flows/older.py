from prefect import flow

print "Python 2"  # expect: file-not-parsed
