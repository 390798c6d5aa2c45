# Pushes with Ruby's prometheus-client-mmap: client.rb URL JOB, and lines on standard input, a word, a tab and an instance. What comes of
# each is a line on standard output.
require 'prometheus/client'
require 'prometheus/client/push'

url, job = ARGV

Backup = Prometheus::Client::Registry.new
Backup.counter(:backup_rows_total, 'Rows.').increment({}, 42)
Backup.gauge(:backup_size_bytes, 'Size.').set({}, 1.5)
# No histogram and no summary: of a registry with one, Push of 0.16.2 makes a NoMethodError.

More = Prometheus::Client::Registry.new
More.gauge(:backup_verified, 'Whether it was read again.').set({}, 7)

STDIN.each_line(chomp: true) do |line|
  word, instance = line.split("\t", -1)
  begin
    push = Prometheus::Client::Push.new(job: job, instance: instance, gateway: url)
    response = case word
               when 'push' then push.replace(Backup)
               when 'add' then push.add(More)
               when 'delete' then push.delete
               end
    # It leaves it to the caller to look.
    puts response.is_a?(Net::HTTPSuccess) ? 'ok' : "failed: #{response.code} #{response.body}"
  rescue StandardError => e
    puts "failed: #{e.inspect.tr("\n", ' ')}"
  end
  STDOUT.flush
end
