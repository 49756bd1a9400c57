package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A child process: for each variant of LoRA prints {@code name=values that train,ms per step,ms of one row's forward pass,
 * seconds of LoRA.apply}. The variants take turns.
 */
final class VariantChild {

    private static final int ROUNDS = 40;
    private static final int WARM_UP = 15;
    private static final int START_BATCHES = 8;

    private VariantChild() {
    }

    private static Map<String, LoRAConfig.Builder> variants() {
        Map<String, LoRAConfig.Builder> variants = new LinkedHashMap<>();
        variants.put("plain LoRA", LoRAConfig.builder());
        variants.put("LoRA+", LoRAConfig.builder().loraPlusRatio(16));
        variants.put("LoRA-FA", LoRAConfig.builder().variant(new FrozenALoRA()));
        variants.put("DoRA", LoRAConfig.builder().variant(new DoRA()));
        variants.put("PiSSA, exact", LoRAConfig.builder().loraInit(LoRAInit.PISSA));
        variants.put("PiSSA, 4 iterations", LoRAConfig.builder().loraInit(LoRAInit.PISSA).pissaIterations(4));
        variants.put("PiSSA, 16 iterations", LoRAConfig.builder().loraInit(LoRAInit.PISSA).pissaIterations(16));
        variants.put("OLoRA", LoRAConfig.builder().loraInit(LoRAInit.OLORA));
        variants.put("EVA, 8 batches", LoRAConfig.builder().loraInit(LoRAInit.EVA));
        variants.put("LoRA-GA, 8 batches", LoRAConfig.builder().loraInit(LoRAInit.LORA_GA));
        variants.put("biases too", LoRAConfig.builder().bias("lora_only"));
        return variants;
    }

    /** Batches of noise, so that EVA's components do not converge. */
    private static DataSetIterator noise(DataSet batch) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < START_BATCHES; i++) {
            batches.add(new DataSet(Nd4j.randn(batch.getFeatures().shape()), batch.getLabels()));
        }
        return new ExistingDataSetIterator(batches);
    }

    private static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config, DataSetIterator data) {
        return config.loraInit().needsData() ? LoRA.apply(base, config, data) : LoRA.apply(base, config);
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[0]);
        MultiLayerNetwork base = Networks.base(shape, false);
        DataSet batch = Networks.batch(shape);
        INDArray row = batch.getFeatures().getRow(0, true).dup();
        DataSetIterator data = noise(batch);
        Map<String, LoRAConfig.Builder> variants = variants();
        List<String> names = List.copyOf(variants.keySet());
        MultiLayerNetwork[] networks = new MultiLayerNetwork[names.size()];
        double[] applied = new double[names.size()];
        double[][] steps = new double[names.size()][ROUNDS];
        double[][] outputs = new double[names.size()][ROUNDS];
        // The first call also loads classes.
        LoRA.apply(base, LoRAConfig.builder().rank(shape.rank()).build());
        for (int i = 0; i < names.size(); i++) {
            long begin = System.nanoTime();
            networks[i] = apply(base, variants.get(names.get(i)).rank(shape.rank()).build(), data);
            applied[i] = (System.nanoTime() - begin) / 1e9;
        }
        for (int round = -WARM_UP; round < ROUNDS; round++) {
            for (int i = 0; i < networks.length; i++) {
                long begin = System.nanoTime();
                networks[i].fit(batch);
                long after = System.nanoTime();
                // The first forward pass derives from the weights what later passes use.
                networks[i].output(row);
                long between = System.nanoTime();
                networks[i].output(row);
                if (round >= 0) {
                    steps[i][round] = (after - begin) / 1e6;
                    outputs[i][round] = (System.nanoTime() - between) / 1e6;
                }
            }
        }
        StringBuilder result = new StringBuilder();
        for (int i = 0; i < networks.length; i++) {
            result.append(names.get(i)).append('=').append(networks[i].params().length()).append(',')
                    .append(Clock.median(steps[i]))
                    .append(',').append(Clock.median(outputs[i])).append(',').append(applied[i]).append(';');
        }
        System.out.println(Child.RESULT + result);
        System.exit(0);
    }
}
