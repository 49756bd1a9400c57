package io.github.dl4jlora.examples.spark;

import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerBlockUpdated;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.storage.BlockUpdatedInfo;
import org.apache.spark.storage.BroadcastBlockId;

import java.util.HashSet;
import java.util.Set;

/**
 * Counts what parameter averaging sends, as Spark reports it: blocks of broadcasts that arrive at executors (network, parameters
 * and updater state go out this way) and serialised results of the tasks that train (parameters and updater state come back this
 * way). Training images are sent in another way and are not counted.
 */
final class WireBytes extends SparkListener {

    private static final String AVERAGING = "treeAggregate";

    private final Set<Integer> averagingStages = new HashSet<>();
    private int rounds;
    private long written;
    private long arrived;
    private long results;
    private long tasks;

    /**
     * What was counted so far.
     *
     * @param rounds  how often parameters were averaged
     * @param written bytes that the driver has provided for executors, counted once for all of them
     * @param arrived bytes that arrived at all executors together; 0 in local mode
     * @param results bytes that tasks sent back
     * @param tasks   how many tasks sent results
     */
    record Count(int rounds, long written, long arrived, long results, long tasks) {

        /** Bytes to one executor for a round. */
        long down() {
            return written / rounds;
        }

        /** Bytes from one task after a round. */
        long up() {
            return results / tasks;
        }
    }

    /** Whether this stage trains a round and adds up the results of its tasks. */
    static boolean isAveraging(StageInfo stage) {
        return stage.name().startsWith(AVERAGING);
    }

    @Override
    public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
        if (isAveraging(event.stageInfo())) {
            averagingStages.add(event.stageInfo().stageId());
        }
    }

    @Override
    public synchronized void onBlockUpdated(SparkListenerBlockUpdated event) {
        BlockUpdatedInfo block = event.blockUpdatedInfo();
        // A block that is removed is reported with its size too, but no longer stored anywhere.
        if (block.storageLevel().isValid() && block.blockId() instanceof BroadcastBlockId id && id.field().startsWith("piece")) {
            long bytes = block.memSize() + block.diskSize();
            if (block.blockManagerId().isDriver()) {
                written += bytes;
            } else {
                arrived += bytes;
            }
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        if (averagingStages.contains(event.stageId()) && event.taskInfo().successful()) {
            results += event.taskMetrics().resultSize();
            tasks++;
        }
    }

    @Override
    public synchronized void onStageCompleted(SparkListenerStageCompleted event) {
        if (isAveraging(event.stageInfo()) && event.stageInfo().failureReason().isEmpty()) {
            rounds++;
        }
    }

    synchronized Count count() {
        return new Count(rounds, written, arrived, results, tasks);
    }
}
