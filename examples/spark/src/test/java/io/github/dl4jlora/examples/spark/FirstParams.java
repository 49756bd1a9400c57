package io.github.dl4jlora.examples.spark;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.spark.api.TrainingHook;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Remembers what each replica in this JVM had for parameters when it began to train. */
final class FirstParams implements TrainingHook {

    private static final long serialVersionUID = 1L;
    private static final Map<Integer, List<Float>> BY_REPLICA = new ConcurrentHashMap<>();

    static void forget() {
        BY_REPLICA.clear();
    }

    /** Of every replica that there was, one a worker and round. */
    static List<List<Float>> seen() {
        return List.copyOf(BY_REPLICA.values());
    }

    @Override
    public void preUpdate(MultiDataSet batch, Model replica) {
        BY_REPLICA.computeIfAbsent(System.identityHashCode(replica), first -> {
            float[] params = replica.params().toFloatVector();
            Float[] boxed = new Float[params.length];
            Arrays.setAll(boxed, i -> params[i]);
            return List.of(boxed);
        });
    }

    @Override
    public void preUpdate(DataSet batch, Model replica) {
        throw new UnsupportedOperationException("Graphs train on MultiDataSets");
    }

    @Override
    public void postUpdate(DataSet batch, Model replica) {
        // The first parameters are of interest, not the last.
    }

    @Override
    public void postUpdate(MultiDataSet batch, Model replica) {
        // The first parameters are of interest, not the last.
    }
}
