package io.github.dl4jlora.internal.build;

import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.updater.BaseMultiLayerUpdater;
import org.deeplearning4j.nn.updater.UpdaterBlock;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.regularization.Regularization.ApplyStep;

import java.util.List;

/**
 * DL4J's block of parameters that one updater serves, without the views of parameter and gradient that DL4J makes of each
 * parameter, twice a step, for regularization that it does not have: a third of the objects of a step of adapters, which are
 * small and many. The same numbers in the same arrays; copies and restored networks begin with DL4J's own.
 */
final class SparingBlock extends UpdaterBlock {

    private SparingBlock(UpdaterBlock of) {
        super(of.getParamOffsetStart(), of.getParamOffsetEnd(), of.getUpdaterViewOffsetStart(), of.getUpdaterViewOffsetEnd(),
                of.getLayersAndVariablesInBlock());
        setUpdaterView(of.getUpdaterView());
        setGradientView(of.getGradientView());
        setUpdaterViewRequiresInitialization(of.isUpdaterViewRequiresInitialization());
        setGradientUpdater(of.getGradientUpdater());
    }

    /** Puts such blocks in place of DL4J's own; blocks of others stay. */
    static void into(Updater updater) {
        if (updater instanceof BaseMultiLayerUpdater<?> blocks) {
            blocks.getUpdaterBlocks()
                    .replaceAll(block -> block.getClass() == UpdaterBlock.class ? new SparingBlock(block) : block);
        }
    }

    @Override
    protected void applyRegularizationAllVariables(ApplyStep step, int iteration, int epoch, boolean external, INDArray gradients,
            INDArray params) {
        if (getLayersAndVariablesInBlock().stream().anyMatch(SparingBlock::isRegularized)) {
            super.applyRegularizationAllVariables(step, iteration, epoch, external, gradients, params);
        }
    }

    private static boolean isRegularized(ParamState state) {
        List<?> regularization = state.getLayer().getConfig().getRegularizationByParam(state.getParamName());
        return regularization != null && !regularization.isEmpty();
    }
}
