from helpers.deeper import who
