package io.github.dl4jlora.property;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nesterovs;

import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Batches of one example each make the update that one batch of them all makes, whatever happens to the network in between. */
final class Accumulating {

    private static final int EXAMPLES = 3;
    private static final int UPDATES = 2;

    private Accumulating() {
    }

    static void check(Trial trial) throws Exception {
        NotApplicable.unless(!trial.spec.isRandom() && !trial.spec.hasBatchNorm() && !trial.mixesUpMasks()
                && trial.spec.head() != Head.CENTER_LOSS, "examples depend on each other, or on chance");
        IUpdater updater = new Nesterovs(0.05, 0.5);
        Model whole = trial.tuned(config(trial, updater));
        Model parts = trial.tuned(config(trial, new Accumulated(updater, EXAMPLES)));
        INDArray start = parts.params().dup();
        for (int update = 0; update < UPDATES; update++) {
            List<DataSet> examples = examples(trial, update);
            Models.fit(whole, whole(examples));
            INDArray before = parts.params().dup();
            for (int i = 0; i < EXAMPLES; i++) {
                assertThat(Trial.bits(parts.params())).as("parameters before batch " + i).isEqualTo(Trial.bits(before));
                Models.fit(parts, examples.get(i));
                parts = i == update && trial.spec.settings().place() == Settings.Place.SHARED
                        ? Path.SERIALIZER.through(trial, parts) : parts;
            }
        }
        NotApplicable.unless(Double.isFinite(whole.params().norm2Number().doubleValue()), "it diverges");
        double moved = Networks.difference(whole.params(), start);
        assertThat(Networks.difference(parts.params(), whole.params())).as("parameters that " + UPDATES + " updates of "
                + EXAMPLES + " batches each make").isLessThanOrEqualTo(trial.tolerance() * Math.max(1e-3, moved));
    }

    private static LoRAConfig config(Trial trial, IUpdater updater) {
        return trial.config().toBuilder().updater(updater).l1(0.001).weightDecay(0.01).build();
    }

    private static List<DataSet> examples(Trial trial, int update) {
        int each = (int) (trial.labels.size(0) / trial.spec.examples());
        return IntStream.range(0, EXAMPLES).mapToObj(i -> {
            int example = i % trial.spec.examples();
            double factor = 1 - 0.1 * (EXAMPLES * update + i);
            DataSet of = new DataSet(rows(trial.features, example, 1), rows(trial.labels, example, each),
                    trial.featuresMask == null ? null : rows(trial.featuresMask, example, 1),
                    trial.labelsMask == null ? null : rows(trial.labelsMask, example, each));
            if (!trial.spec.input().isWords()) {
                of.getFeatures().muli(factor);
            }
            return of;
        }).toList();
    }

    /** DL4J's own merge takes no volumes. */
    private static DataSet whole(List<DataSet> examples) {
        return new DataSet(joined(examples, DataSet::getFeatures), joined(examples, DataSet::getLabels),
                joined(examples, DataSet::getFeaturesMaskArray), joined(examples, DataSet::getLabelsMaskArray));
    }

    private static INDArray joined(List<DataSet> examples, Function<DataSet, INDArray> part) {
        return part.apply(examples.get(0)) == null ? null
                : Nd4j.concat(0, examples.stream().map(part).toArray(INDArray[]::new));
    }

    private static INDArray rows(INDArray array, int example, int each) {
        return array.get(NDArrayIndex.interval(example * each, (example + 1) * each)).dup();
    }
}
